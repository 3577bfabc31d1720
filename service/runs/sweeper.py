"""Makes good what was lost: runs of dead workers, rings that nobody heard, keys that are out of date.

Every API and worker process sweeps; they do not get into each other's way.
"""

import threading
import time
from datetime import datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from service.errors import Unavailable
from service.infra.artifacts import ArtifactStore
from service.infra.database import Database, now
from service.infra.logging import get_logger
from service.infra.queue import Doorbell
from service.infra.scratch import remove_dead
from service.runs import attempts, repository, workers
from service.runs.garbage import collect_garbage
from service.settings import Settings

log = get_logger(__name__)

# Where several processes count together, all of them measure the same queue: the last one is right.
QUEUED_RUNS = Gauge("fitserve_queued_runs", "Runs that wait for a worker.", multiprocess_mode="livemostrecent")
QUEUE_AGE = Gauge(
    "fitserve_queue_age_seconds",
    "How long the run that has waited longest has been waiting.",
    multiprocess_mode="livemostrecent",
)
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


def measure(database: Database) -> None:
    """Set the gauges of the queue."""
    with database.read() as session:
        waiting, oldest = repository.measure_queue(session)
    QUEUED_RUNS.set(waiting)
    QUEUE_AGE.set((now() - oldest).total_seconds() if oldest is not None else 0)


class Sweeper(threading.Thread):
    """Sweeps again and again until it is stopped; an outage only means that it sweeps later."""

    def __init__(self, database: Database, doorbell: Doorbell, artifacts: ArtifactStore, settings: Settings) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._database = database
        self._doorbell = doorbell
        self._artifacts = artifacts
        self._settings = settings
        self._collect_at = time.monotonic() + settings.gc_seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        """Sweep until ``stop``."""
        remove_dead(self._settings.scratch_folder)  # soon, for one that dies again and again would fill the disk
        while not self._stopping.wait(self._settings.sweep_seconds):
            try:
                sweep(self._database, self._doorbell, self._settings)
                measure(self._database)
                self._collect_when_due()
            except (Unavailable, SQLAlchemyError, OSError) as error:
                log.warning("sweep.failed", reason=type(error).__name__)

    def _collect_when_due(self) -> None:
        if time.monotonic() < self._collect_at:
            return
        self._collect_at = time.monotonic() + self._settings.gc_seconds
        remove_dead(self._settings.scratch_folder)
        collected = collect_garbage(self._database, self._artifacts, self._settings.gc_age_seconds)
        log.info("garbage.collected", **vars(collected))

    def stop(self) -> None:
        """Stop, after the sweep that is going on."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=10)
