"""Remembers for a moment who has which key, so that a request need not ask the database. Knows no HTTP and no tables.

A revoked key is refused within half a second and the time of one question.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from anyio import CapacityLimiter, to_thread

from service.errors import Unavailable
from service.infra.database import now
from service.infra.logging import get_logger
from service.infra.single_flight import SingleFlight
from service.workspaces.errors import NotIdentified
from service.workspaces.keys import digest_of, is_key
from service.workspaces.states import Caller

log = get_logger(__name__)

REFRESH_AFTER_SECONDS = 0.25
"""From this age on it is asked again who has a key, while requests still use the answer."""
STALE_AFTER_SECONDS = 0.5
"""From this age on requests wait for the new answer."""
MAX_ENTRIES = 4096
"""Keys that are remembered; also unknown ones, which anybody can make up."""
QUESTIONS_AT_ONCE = 8


class KeySource(Protocol):
    """Where keys are found."""

    def find(self, key: bytes) -> Caller | None:
        """Who has this key, which is empty for no key; None for nobody. May block. Raises Unavailable."""

    def note_use(self, key_id: str) -> None:
        """Remember that a key is in use. May block. Raises Unavailable."""


@dataclass(frozen=True)
class _Entry:
    caller: Caller | None
    found_at: float


class Authenticator:
    """Finds who has a key. For one event loop.

    What it remembers is found by the SHA-256 of a key: the secret itself is not kept, and how long the look takes tells
    nothing of it.
    """

    def __init__(self, source: KeySource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._refreshes: SingleFlight[_Entry] = SingleFlight()
        self._uses: SingleFlight[None] = SingleFlight()
        self._questions = CapacityLimiter(QUESTIONS_AT_ONCE)
        self._notes = CapacityLimiter(1)  # a write may wait for others, and no question shall wait for it

    def recall(self, key: bytes) -> Caller | None:
        """Who has this key, which is empty for no key, where that was asked a moment ago."""
        entry = self._entries.get(digest_of(key))
        if entry is None or self._clock() - entry.found_at >= REFRESH_AFTER_SECONDS:
            return None
        return entry.caller

    async def identify(self, key: bytes) -> Caller:
        """Who has this key. Raises NotIdentified or Unavailable."""
        key = key if is_key(key) else b""
        digest = digest_of(key)
        entry = self._entries.get(digest)
        age = STALE_AFTER_SECONDS if entry is None else self._clock() - entry.found_at
        if entry is None or age >= STALE_AFTER_SECONDS:
            entry = await self._refreshes.run(digest, lambda: self._refresh(key, digest))
        elif age >= REFRESH_AFTER_SECONDS:
            self._refreshes.start(digest, lambda: self._refresh(key, digest))
        if entry.caller is None:
            raise NotIdentified
        return entry.caller

    async def _refresh(self, key: bytes, digest: bytes) -> _Entry:
        asked_at = self._clock()
        try:
            caller = await to_thread.run_sync(self._source.find, key, limiter=self._questions)
        except Unavailable as error:
            return self._remember(digest, _Entry(self._known_through_outage(digest, error), asked_at))
        if caller is not None and caller.key_id is not None and caller.is_use_due:
            key_id = caller.key_id
            self._uses.start(key_id, lambda: self._note_use(key_id))
        return self._remember(digest, _Entry(caller, asked_at))

    def _known_through_outage(self, digest: bytes, error: Unavailable) -> Caller:
        known = self._entries.get(digest)
        caller = known.caller if known is not None else None
        if caller is None or (caller.expires_at is not None and caller.expires_at <= now()):
            raise error
        log.warning("authentication.outage", key=caller.key_id, reason=error.message)
        return caller

    async def _note_use(self, key_id: str) -> None:
        await to_thread.run_sync(self._source.note_use, key_id, limiter=self._notes)

    def _remember(self, digest: bytes, entry: _Entry) -> _Entry:
        self._entries[digest] = entry
        self._entries.move_to_end(digest)  # every key in use is asked for again, so the others are let go first
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return entry
