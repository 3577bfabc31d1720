"""The servers that the other tests rely on are real ones."""

import redis
from sqlalchemy import create_engine, text

from tests.servers import new_database


def test_postgres_gives_out_empty_databases(postgres_url: str) -> None:
    engine = create_engine(new_database(postgres_url))
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one()
    engine.dispose()
    assert tables == 0


def test_redis_wants_its_password(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.config_get("requirepass")["requirepass"]
