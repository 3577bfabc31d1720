"""What this worker is doing, and whether it still owns it by its own clock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Unavailable
from service.infra.database import Database
from service.infra.logging import get_logger
from service.runs import workers
from service.runs.repository import Claim
from service.worker.trainers import Trainer

log = get_logger(__name__)

LOOK_SECONDS = 0.1


class Lease:
    """The claims of this worker. Its time counts from *before* the last good beat, so that it ends before the database's."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._renewed_at = time.monotonic()
        self._held: dict[Claim, Trainer] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, claim: Claim, trainer: Trainer) -> Iterator[None]:
        """Keep a claim alive for the length of the block, in which ``trainer`` works on it."""
        with self._lock:
            self._held[claim] = trainer
        try:
            yield
        finally:
            with self._lock:
                del self._held[claim]

    def held(self) -> dict[Claim, Trainer]:
        """The claims that are worked on now, each with its trainer."""
        with self._lock:
            return dict(self._held)

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
            self.beat()

    def beat(self) -> None:
        """Beat once, if the database answers."""
        asked_at = time.monotonic()
        run_ids = [claim.run_id for claim in self._lease.held()]
        try:
            workers.beat(self._database, self._worker_id, run_ids, self._lease_seconds)
        except Unavailable as error:
            log.warning("heartbeat.failed", reason=error.message)
        except Exception:  # without this thread the worker would lose everything, again and again
            log.exception("heartbeat.failed")
        else:
            self._lease.renew(asked_at)

    def stop(self) -> None:
        """Stop beating."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=10)


class Guard(threading.Thread):
    """Kills trainers that may not go on: those of a lost lease, and those that use too much memory.

    It waits for nothing but the clock, so it also acts while every other thread waits for a database or a disk.
    """

    def __init__(self, lease: Lease, max_memory_bytes: int) -> None:
        super().__init__(name="guard", daemon=True)
        self._lease = lease
        self._max_memory_bytes = max_memory_bytes
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look ten times a second until ``stop``."""
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once."""
        is_lost = self._lease.is_lost
        for claim, trainer in self._lease.held().items():
            if is_lost:
                log.warning("guard.lease_lost", run_id=claim.run_id, attempt=claim.attempt)
                trainer.kill()
            elif self._max_memory_bytes and (used := trainer.memory_bytes()) > self._max_memory_bytes:
                log.warning("guard.out_of_memory", run_id=claim.run_id, attempt=claim.attempt, used_bytes=used)
                trainer.kill(exceeded_memory_bytes=used)

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=10)
