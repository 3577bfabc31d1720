"""Counts that all processes share, in Redis. Each begins anew a fixed time after its first one. Knows no workspaces."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import Unavailable

ANSWER_SECONDS = 0.5
"""How long a request may wait for Redis, since it is answered without it as well."""
MAX_CONNECTIONS = 32
KEY_PREFIX = "fitserve-counts"


class RedisCounts:
    """Counts by name. For one event loop; connects when it is first used."""

    def __init__(self, url: str, window_seconds: int) -> None:
        self._window_seconds = window_seconds
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._storage = RedisStorage(
            url,
            implementation="redispy",
            key_prefix=KEY_PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]  # its own documentation names this option
        )

    async def add(self, name: str) -> int:
        """Count one more; how many there are now. Raises Unavailable."""
        async with _outages_translated():
            return await self._storage.incr(name, self._window_seconds)

    async def look(self, name: str) -> tuple[int, float]:
        """How many there are, and when they begin anew (seconds since 1970). Raises Unavailable."""
        async with _outages_translated():
            return await self._storage.get(name), await self._storage.get_expiry(name)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.disconnect()


@asynccontextmanager
async def _outages_translated() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("The broker does not answer.") from error
