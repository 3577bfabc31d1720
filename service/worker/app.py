"""Puts a worker process together: Celery hears the doorbell, slots do the work, threads keep the leases alive."""

import os
import socket
import threading
import warnings
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning

from service.errors import Unavailable
from service.infra.artifacts import make_artifact_store
from service.infra.database import Database, make_engine
from service.infra.ids import new_id
from service.infra.logging import configure_logging, get_logger
from service.infra.queue import CeleryDoorbell, make_celery
from service.infra.scratch import Scratch
from service.runs import workers
from service.runs.sweeper import Sweeper
from service.runs.workers import WorkerIdentity
from service.settings import Settings
from service.worker.lease import Guard, Heartbeat, Lease
from service.worker.pipeline import Pipeline
from service.worker.slots import Slot
from service.worker.tasks import register_ring
from service.worker.trainers import TrainerStarter

log = get_logger(__name__)


class WorkerRuntime:
    """Everything of a worker but Celery; starts and stops together."""

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self._identity = WorkerIdentity(new_id("wrk"), socket.gethostname(), os.getpid(), settings.slots)
        self._database = Database(make_engine(settings))
        self._stopping = threading.Event()
        lease = Lease(settings.lease_seconds)
        worker_id = self._identity.id
        self._scratch = Scratch(settings.scratch_folder, worker_id)
        cache = settings.encoded_cache_folder
        self._starter = TrainerStarter(settings.trainer_module, _threads_per_trainer(settings), self._scratch, cache)
        artifacts = make_artifact_store(settings)
        self._slots = [
            Slot(
                number,
                worker_id,
                self._database,
                settings,
                Pipeline(self._database, artifacts, settings, lease, self._stopping),
                self._starter,
                self._stopping,
            )
            for number in range(1, settings.slots + 1)
        ]
        self._heartbeat = Heartbeat(self._database, worker_id, lease, settings.lease_seconds, settings.heartbeat_seconds)
        self._guard = Guard(lease, settings.trainer_memory_bytes)
        self._doorbell = CeleryDoorbell(celery)
        self._sweeper = Sweeper(self._database, self._doorbell, artifacts, settings)

    def start(self) -> None:
        """Announce the worker and begin."""
        workers.announce(self._database, self._identity)
        for thread in (self._heartbeat, self._guard, self._sweeper, *self._slots):
            thread.start()
        log.info("worker.started", worker_id=self._identity.id, slots=len(self._slots))

    def ring(self) -> None:
        """Wake every slot; those that are busy look when they are done."""
        for slot in self._slots:
            slot.ring()

    def request_stop(self) -> None:
        """Let the slots save the state of their runs, give them back and end."""
        self._stopping.set()
        self.ring()

    def stop(self) -> None:
        """Stop everything and wait for it."""
        self.request_stop()
        for slot in self._slots:
            slot.join()
        self._sweeper.stop()
        self._doorbell.ring()  # for the runs that were given back
        self._doorbell.close()
        self._heartbeat.stop()
        self._guard.stop()
        try:
            workers.say_goodbye(self._database, self._identity.id)
        except Unavailable as error:
            log.warning("worker.left_silently", reason=error.message)
        self._starter.close()
        self._scratch.close()
        self._database.close()
        log.info("worker.stopped", worker_id=self._identity.id)


def run_worker(settings: Settings) -> int:
    """Run a worker in this process until SIGTERM or SIGINT; returns the exit code."""
    configure_logging(settings)
    celery = make_celery(settings)
    runtime = WorkerRuntime(settings, celery)
    register_ring(celery, runtime.ring)

    def on_shutting_down(**_: Any) -> None:
        runtime.request_stop()

    signals.worker_shutting_down.connect(on_shutting_down)
    # Celery warns root of pickled messages, which this worker does not accept.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    runtime.start()
    try:
        worker = celery.Worker(
            pool="threads",
            concurrency=settings.slots + 1,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            hostname=f"fitserve@{socket.gethostname()}",
            loglevel=settings.log_level.upper(),
            quiet=True,
        )
        worker.start()
        return int(worker.exitcode or 0)
    finally:
        runtime.stop()


def _threads_per_trainer(settings: Settings) -> int:
    return settings.trainer_threads or max(1, (os.cpu_count() or 1) // settings.slots)
