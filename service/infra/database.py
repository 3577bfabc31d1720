"""The database: engine, sessions, column types, the database's own clock and the schema check. Knows no nouns."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Engine, MetaData, create_engine, event, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

from service.errors import Unavailable
from service.infra.logging import get_logger
from service.settings import Settings

log = get_logger(__name__)

JsonDocument = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Plain JSON data, stored as JSONB where there is such a type; None is SQL's NULL, not JSON's."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would be stored in whatever zone the machine has."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"A time needs a zone. Received {value!r}.")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every time its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables; every constraint gets a name, so that migrations can change it on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JsonDocument, list[Any]: JsonDocument}


def now() -> datetime:
    """This process's clock, for times that people read. Leases use ``database_now_ms``."""
    return datetime.now(UTC)


class database_now_ms(GenericFunction[int]):  # noqa: N801  # SQL functions are lower case
    """Milliseconds since 1970 by the database's clock at this very statement, not at the transaction's start."""

    type = BigInteger()
    inherit_cache = True


@compiles(database_now_ms, "postgresql")
def _postgresql_now(element: database_now_ms, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(database_now_ms, "sqlite")
def _sqlite_now(element: database_now_ms, compiler: SQLCompiler, **kwargs: Any) -> str:
    # unixepoch('subsec') is NULL before SQLite 3.42, so the Julian day is used.
    return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


def database_moment(session: Session) -> int:
    """Milliseconds since 1970 by the database's clock; asks without flushing what the session has not finished yet."""
    with session.no_autoflush:
        return session.scalars(select(database_now_ms())).one()


def make_engine(settings: Settings) -> Engine:
    """The engine of the configured database. Connects only when it is used."""
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": 10.0, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin_sqlite_transaction)
        return engine
    return create_engine(
        url, pool_size=10, max_overflow=30, pool_timeout=5, pool_pre_ping=True, connect_args={"connect_timeout": 3}
    )


def _prepare_sqlite_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is sent at the "begin" event
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite_transaction(connection: Connection) -> None:
    # A read that turns into a write fails at once when another writer came between, whatever the busy timeout.
    is_writer = connection.get_execution_options().get("is_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


class Database:
    """Sessions on one engine. A transaction ends where its ``with`` block ends."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(is_writer=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading only. Raises Unavailable when the database cannot be reached."""
        with _translate_outage(), Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back on an error, then calls its after-commit hooks."""
        with _translate_outage(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
        for hook in session.info.pop("after_commit", []):
            hook()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def after_commit(session: Session, hook: Any) -> None:
    """Call ``hook()`` once this session's transaction is committed; equal hooks are called once."""
    hooks: list[Any] = session.info.setdefault("after_commit", [])
    if hook not in hooks:
        hooks.append(hook)


@contextmanager
def _translate_outage() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        log.warning("database.unavailable", reason=str(error).split("\n", 1)[0][:300])
        raise Unavailable("The database does not answer.") from error
