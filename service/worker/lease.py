"""Whether this worker still owns what it does, by its own clock."""

import threading
import time

from service.errors import Unavailable
from service.infra.database import Database
from service.infra.logging import get_logger
from service.runs import workers

log = get_logger(__name__)


class Lease:
    """Counts from *before* the last good beat, so that this clock runs out before the database's does."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._renewed_at = time.monotonic()

    def renew(self, asked_at: float) -> None:
        """Note that a beat which was sent at ``asked_at`` (monotonic seconds) has been accepted."""
        self._renewed_at = asked_at

    @property
    def is_lost(self) -> bool:
        """Whether others may take the runs soon; a tenth of the lease is kept for stopping the trainers."""
        return time.monotonic() - self._renewed_at > 0.9 * self._lease_seconds


class Heartbeat(threading.Thread):
    """Renews the lease again and again until it is stopped."""

    def __init__(self, database: Database, worker_id: str, lease: Lease, lease_seconds: float, beat_seconds: float) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._database = database
        self._worker_id = worker_id
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        """Beat until ``stop``."""
        while not self._stopping.wait(self._beat_seconds):
            asked_at = time.monotonic()
            try:
                workers.beat(self._database, self._worker_id, self._lease_seconds)
            except Unavailable as error:
                log.warning("heartbeat.failed", reason=error.message)
            else:
                self._lease.renew(asked_at)

    def stop(self) -> None:
        """Stop beating."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=10)
