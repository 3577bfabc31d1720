"""The worker's slots: each is a thread that claims runs and fits them with a trainer of its own."""

import threading

from service.errors import Unavailable
from service.infra.database import Database
from service.infra.logging import get_logger
from service.runs import attempts, workers
from service.settings import Settings
from service.spec.frames import Ready
from service.worker.pipeline import Pipeline
from service.worker.trainers import Trainer, TrainerGone, TrainerStarter

log = get_logger(__name__)

IDLE_SECONDS = 1.0
RESTART_SECONDS = 2.0


class Slot(threading.Thread):
    """Claims until nothing is eligible; when idle it looks every second, and at once when the doorbell rings."""

    def __init__(
        self,
        number: int,
        worker_id: str,
        database: Database,
        settings: Settings,
        pipeline: Pipeline,
        starter: TrainerStarter,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"slot-{number}")
        self._number = number
        self._worker_id = worker_id
        self._database = database
        self._settings = settings
        self._pipeline = pipeline
        self._starter = starter
        self._stopping = stopping
        self._bell = threading.Event()
        self._trainer: Trainer | None = None
        self._runs_of_trainer = 0
        self._devices: list[str] = []

    def ring(self) -> None:
        """Look for work now."""
        self._bell.set()

    def run(self) -> None:
        """Work until the worker stops."""
        try:
            while not self._stopping.is_set():
                self._work()
        finally:
            self._drop_trainer()

    def _work(self) -> None:
        try:
            trainer = self._trainer or self._start_trainer()
            if trainer is None:
                return
            if not self._do_next(trainer):
                self._bell.wait(IDLE_SECONDS)
                self._bell.clear()
        except TrainerGone as error:
            log.error("trainer.ended", slot=self._number, returncode=error.returncode)
            self._drop_trainer()
            self._stopping.wait(RESTART_SECONDS)
        except Unavailable as error:
            log.warning("slot.waits", slot=self._number, reason=error.message)
            self._stopping.wait(IDLE_SECONDS)
        except Exception:
            # A slot that dies would leave the worker alive and idle for ever; its run's lease brings the run back.
            log.exception("slot.failed", slot=self._number)
            self._drop_trainer()
            self._stopping.wait(RESTART_SECONDS)

    def _start_trainer(self) -> Trainer | None:
        self._trainer = self._starter.start(f"trainer-{self._number}")
        ready = self._trainer.await_ready(self._stopping)
        if ready is None:
            return None
        self._runs_of_trainer = 0
        self._introduce(ready)
        log.info("trainer.ready", slot=self._number, pid=self._trainer.pid, devices=ready.devices)
        return self._trainer

    def _introduce(self, ready: Ready) -> None:
        self._devices = ready.devices
        workers.describe(self._database, self._worker_id, ready.devices, ready.versions)

    def _do_next(self, trainer: Trainer) -> bool:
        """Do one run, if there is one."""
        run = attempts.claim(self._database, self._settings, self._worker_id, self._devices)
        if run is None:
            return False
        is_well = self._pipeline.train_run(run, trainer)
        self._runs_of_trainer += 1
        # TensorFlow keeps a few megabytes of every run, so a trainer does not live for ever.
        if not is_well or self._runs_of_trainer >= self._settings.trainer_max_runs:
            self._drop_trainer()
        return True

    def _drop_trainer(self) -> None:
        if self._trainer is not None:
            self._trainer.stop()
            self._trainer = None
