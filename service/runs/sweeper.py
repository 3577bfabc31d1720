"""Makes good what was lost: runs of dead workers, rings that nobody heard, keys that are out of date.

Every API and worker process sweeps; they do not get into each other's way.
"""

import threading
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from service.errors import Unavailable
from service.infra.database import Database, now
from service.infra.logging import get_logger
from service.infra.queue import Doorbell
from service.runs import attempts, repository, workers
from service.settings import Settings

log = get_logger(__name__)

KEY_LIFETIME = timedelta(hours=24)


def sweep(database: Database, doorbell: Doorbell, settings: Settings) -> int:
    """Sweep once; returns how many runs were taken from dead workers."""
    ended = 0
    outdated = now() - KEY_LIFETIME
    if _finds_work(database, outdated):  # looking takes no lock that others wait for
        with database.write() as session:
            ended = attempts.end_expired(session, settings)
            repository.forget_outdated_keys(session, outdated)
    with database.read() as session:
        # Rings that nobody can hear would only fill the broker.
        is_heard = repository.has_eligible(session) and bool(workers.list_living(session, settings.lease_seconds))
    if is_heard:
        doorbell.ring()
    return ended


def _finds_work(database: Database, outdated: datetime) -> bool:
    with database.read() as session:
        return repository.has_expired(session) or repository.has_outdated_keys(session, outdated)


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
