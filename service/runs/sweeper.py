"""Makes good what was lost: runs of dead workers, rings that nobody heard, keys that are out of date.

Every API and worker process sweeps; they do not get into each other's way.
"""

import threading
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from service.errors import Unavailable
from service.infra.database import Database, now
from service.infra.logging import get_logger
from service.infra.queue import Doorbell
from service.runs import attempts, repository
from service.runs.tables import Run
from service.settings import Settings

log = get_logger(__name__)

KEY_LIFETIME = timedelta(hours=24)


def sweep(database: Database, doorbell: Doorbell, settings: Settings) -> int:
    """Sweep once; returns how many runs were taken from dead workers."""
    with database.write() as session:
        ended = attempts.end_expired(session, settings)
        outdated = (Run.idempotency_key.is_not(None)) & (Run.created_at < now() - KEY_LIFETIME)
        session.execute(update(Run).where(outdated).values(idempotency_key=None, request_hash=None))
        waiting = repository.count_eligible(session)
    if waiting:
        doorbell.ring()
    return ended


class Sweeper(threading.Thread):
    """Sweeps again and again until it is stopped; an outage only means that it sweeps later."""

    def __init__(self, database: Database, doorbell: Doorbell, settings: Settings) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        self._stopping = threading.Event()

    def run(self) -> None:
        """Sweep until ``stop``."""
        while not self._stopping.wait(self._settings.sweep_seconds):
            try:
                sweep(self._database, self._doorbell, self._settings)
            except (Unavailable, SQLAlchemyError) as error:
                log.warning("sweep.failed", reason=type(error).__name__)

    def stop(self) -> None:
        """Stop, after the sweep that is going on."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=10)
