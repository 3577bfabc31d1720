"""Remembers for a moment which version a name means, so that a prediction need not ask the database.

A moved alias is seen within half a second. It takes effect once the new version is warm; till then the old one answers,
unless nobody has asked for a while.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from service.errors import FitserveError, NotFound, Unavailable
from service.infra.logging import get_logger
from service.infra.single_flight import SingleFlight
from service.predictions.engines import Engines, Servable
from service.predictions.versions import ListedVersion, Selector, ServableVersion, VersionSource

log = get_logger(__name__)

REFRESH_AFTER_SECONDS = 0.25
"""From this age on an answer is asked for again, while requests still use it."""
STALE_AFTER_SECONDS = 0.5
"""From this age on requests wait for the new answer."""
FORGOTTEN_AFTER_SECONDS = 1.0
"""From this age on the old version does not answer any more while a new one is being loaded."""
MAX_ENTRIES = 4096
"""Names that are remembered; also unknown ones, which anybody can make up."""
QUESTIONS_AT_ONCE = 8

Key = tuple[str, str, Selector]


@dataclass
class _Entry:
    answer: Servable | NotFound
    wanted: ServableVersion | None
    """What the source said last; not yet the answer's version while it is being loaded."""
    resolved_at: float


class Lookup:
    """Finds versions by workspace, model and selector. For one event loop."""

    def __init__(self, source: VersionSource, engines: Engines, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._engines = engines
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._refreshes: SingleFlight[_Entry] = SingleFlight()
        self._switches: SingleFlight[None] = SingleFlight()
        self._limiter = CapacityLimiter(QUESTIONS_AT_ONCE)

    def recall(self, workspace_id: str, model: str, selector: Selector) -> Servable | None:
        """The version to answer with, where it has been asked for a moment ago."""
        entry = self._entries.get((workspace_id, model, selector))
        if entry is None or self._clock() - entry.resolved_at >= REFRESH_AFTER_SECONDS or isinstance(entry.answer, NotFound):
            return None
        return entry.answer

    async def find(self, workspace_id: str, model: str, selector: Selector) -> Servable:
        """The version to answer with. Raises NotFound or Unavailable."""
        key = (workspace_id, model, selector)
        entry = self._entries.get(key)
        age = STALE_AFTER_SECONDS if entry is None else self._clock() - entry.resolved_at
        if entry is None or age >= STALE_AFTER_SECONDS:
            entry = await self._refreshes.run(key, lambda: self._refresh(key))
        elif age >= REFRESH_AFTER_SECONDS:
            self._refreshes.start(key, lambda: self._refresh(key))
        if isinstance(entry.answer, NotFound):
            raise entry.answer.with_traceback(None)  # a remembered error would collect the frames of all who met it
        return entry.answer

    async def list_versions(self, workspace_id: str) -> Sequence[ListedVersion]:
        """All versions of a workspace, as the source knows them now. Raises Unavailable."""
        return await to_thread.run_sync(self._source.list_versions, workspace_id, limiter=self._limiter)

    async def _refresh(self, key: Key) -> _Entry:
        asked_at = self._clock()
        known = self._entries.get(key)
        try:
            version = await to_thread.run_sync(self._source.resolve, *key, limiter=self._limiter)
        except NotFound as error:
            return self._remember(key, _Entry(error, None, asked_at))
        except Unavailable as error:
            return self._keep_through_outage(known, asked_at, error)
        if known is None or isinstance(known.answer, NotFound) or asked_at - known.resolved_at >= FORGOTTEN_AFTER_SECONDS:
            return self._remember(key, _Entry(await self._engines.prepare(version), version, asked_at))
        known.resolved_at = asked_at
        if known.wanted != version:
            known.wanted = version
            self._switches.start((key, version.number, version.onnx_sha256), lambda: self._switch(known, version))
        return self._remember(key, known)

    async def _switch(self, entry: _Entry, version: ServableVersion) -> None:
        try:
            servable = await self._engines.prepare(version)
        except FitserveError as error:
            log.warning("lookup.switch_failed", model=version.model, version=version.number, reason=error.message)
            if entry.wanted == version and isinstance(entry.answer, Servable):
                entry.wanted = entry.answer.version  # so that the next refresh tries again
            return
        if entry.wanted == version:  # else the name has moved on in the meantime
            entry.answer = servable

    def _keep_through_outage(self, known: _Entry | None, asked_at: float, error: Unavailable) -> _Entry:
        if known is None or isinstance(known.answer, NotFound):
            raise error
        log.warning("lookup.outage", model=known.answer.version.model, reason=error.message)
        known.resolved_at = asked_at
        return known

    def _remember(self, key: Key, entry: _Entry) -> _Entry:
        self._entries[key] = entry
        self._entries.move_to_end(key)  # every name in use is refreshed, so the others are let go first
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return entry
