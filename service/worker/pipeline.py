"""The story of a run in a worker: claim, load, fit in a trainer, follow, publish."""

import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from service.errors import Unavailable
from service.infra.artifacts import ArtifactStore
from service.infra.database import Database
from service.infra.logging import get_logger
from service.runs import attempts
from service.runs.attempts import ClaimedRun, Failure, Observation, Outcome, StoredFile
from service.runs.errors import AttemptReplaced
from service.settings import Settings
from service.spec.frames import DatasetFiles, Failed, Finished, FitJob, OutputFile, Progress, Ready, Stop
from service.worker.lease import Lease
from service.worker.trainers import Trainer, TrainerGone

log = get_logger(__name__)

T = TypeVar("T")
TICK_SECONDS = 0.1
FLUSH_SECONDS = 0.2
CANCEL_CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class Released:
    """The worker stops, so the run goes back to the queue."""


Ending = Finished | Failure | Released


class LeaseLost(Exception):
    """The database has not heard of this worker for too long: others may have the run now."""


@dataclass
class Attempt:
    """What one attempt has to remember while it is followed; times are monotonic seconds."""

    run: ClaimedRun
    folder: Path
    started_at: float = field(default_factory=time.monotonic)
    last_report_at: float = field(default_factory=time.monotonic)
    last_flush_at: float = 0.0
    last_cancel_check_at: float = 0.0
    stop_sent_at: float | None = None
    pending: list[Observation] = field(default_factory=list)


class Pipeline:
    """Does one run after the other with one trainer at a time. One pipeline per slot."""

    def __init__(
        self, database: Database, artifacts: ArtifactStore, settings: Settings, lease: Lease, stopping: threading.Event
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._settings = settings
        self._lease = lease
        self._stopping = stopping

    def train_run(self, run: ClaimedRun, trainer: Trainer) -> bool:
        """Do a claimed run to its end; returns whether the trainer is still fit for another one."""
        log.info("run.claimed", run_id=run.claim.run_id, attempt=run.claim.attempt)
        scratch = self._settings.data_dir.absolute() / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch, prefix=f"{run.claim.run_id}-") as folder:
            attempt = Attempt(run, Path(folder))
            try:
                ending = self._fit(attempt, trainer)
                outcome = self._conclude(attempt, ending)
                log.info("run.ended", run_id=run.claim.run_id, attempt=run.claim.attempt, **vars(outcome))
                return isinstance(ending, Finished) or _is_trainers_own(ending)
            except (AttemptReplaced, LeaseLost) as error:
                log.warning("run.lost", run_id=run.claim.run_id, attempt=run.claim.attempt, reason=type(error).__name__)
                return False

    def _fit(self, attempt: Attempt, trainer: Trainer) -> Ending:
        try:
            trainer.send(self._job(attempt))
            return self._follow(attempt, trainer)
        except FileNotFoundError:
            message = "A file of the dataset is not in the artifact store."
            return Failure("bad_data", message, "Upload the dataset again, then start a new run.")
        except TrainerGone as error:
            return _explain_end(error.returncode)

    def _job(self, attempt: Attempt) -> FitJob:
        run = attempt.run
        files = {name: str(self._artifacts.local_path(sha256)) for name, sha256 in run.dataset_files.items()}
        return FitJob(
            run_id=run.claim.run_id,
            attempt=run.claim.attempt,
            directory=str(attempt.folder),
            definition=run.definition,
            compile=run.compile,
            fit=run.fit,
            features=run.features,
            dataset=DatasetFiles(kind=run.dataset_kind, files=files),
            target=run.target,
            seed=run.seed,
            publish=run.wants_version,
            max_parameters=self._settings.max_parameters,
        )

    def _follow(self, attempt: Attempt, trainer: Trainer) -> Ending:
        while True:
            report = trainer.receive(TICK_SECONDS)
            if report is not None:
                attempt.last_report_at = time.monotonic()
            match report:
                case Finished():
                    return report
                case Failed(type=kind, message=message, hint=hint):
                    return Failure(kind, message, hint)
                case None | Ready():
                    pass
                case _:
                    _add(attempt.pending, report)
            self._flush_when_due(attempt)
            if self._stopping.is_set():
                trainer.kill()
                return Released()
            self._stop_when_cancelled(attempt, trainer)
            failure = self._find_reason_to_kill(attempt)
            if failure is not None:
                trainer.kill()
                return failure

    def _flush_when_due(self, attempt: Attempt) -> None:
        """Write what was reported, at most every 200 ms; while the database is away it is kept and the fit goes on."""
        if self._lease.is_lost:
            raise LeaseLost
        now = time.monotonic()
        if not attempt.pending or now - attempt.last_flush_at < FLUSH_SECONDS:
            return
        attempt.last_flush_at = now
        try:
            attempts.record(self._database, attempt.run.claim, attempt.pending)
        except Unavailable as error:
            log.warning("run.report_delayed", run_id=attempt.run.claim.run_id, reason=error.message)
        else:
            attempt.pending.clear()

    def _find_reason_to_kill(self, attempt: Attempt) -> Failure | None:
        now = time.monotonic()
        timeout = attempt.run.timeout_seconds or self._settings.run_timeout_seconds
        if now - attempt.started_at > timeout:
            hint = "Ask for fewer epochs, a smaller model or a longer timeout_seconds."
            return Failure("timeout", f"The fit took longer than {timeout:g} seconds.", hint)
        silence = self._settings.no_progress_seconds
        if now - attempt.last_report_at > silence:
            hint = "The run starts again by itself, up to the limit. A smaller batch_size reports more often."
            return Failure("no_progress", f"The trainer reported nothing for {silence:g} seconds.", hint)
        grace = self._settings.cancel_grace_seconds
        if attempt.stop_sent_at is not None and now - attempt.stop_sent_at > grace:
            return Failure("no_progress", f"The trainer did not stop within {grace:g} seconds.", "It was killed.")
        return None

    def _stop_when_cancelled(self, attempt: Attempt, trainer: Trainer) -> None:
        now = time.monotonic()
        if attempt.stop_sent_at is not None or now - attempt.last_cancel_check_at < CANCEL_CHECK_SECONDS:
            return
        attempt.last_cancel_check_at = now
        claim = attempt.run.claim
        try:
            keep = attempts.cancel_wish(self._database, claim)
        except Unavailable:
            return
        if keep is not None:
            trainer.send(Stop(run_id=claim.run_id, attempt=claim.attempt, keep=keep))
            attempt.stop_sent_at = now

    def _conclude(self, attempt: Attempt, ending: Ending) -> Outcome:
        claim = attempt.run.claim
        if isinstance(ending, Released):
            return attempts.release(self._database, claim)
        if attempt.pending:
            self._insist(lambda: attempts.record(self._database, claim, attempt.pending))
        if isinstance(ending, Failure):
            return self._insist(lambda: attempts.fail(self._database, claim, ending, self._settings))
        files = [self._store(file) for file in ending.files]
        return self._insist(lambda: attempts.complete(self._database, claim, ending, files))

    def _store(self, file: OutputFile) -> StoredFile:
        path = Path(file.path)
        return StoredFile(file.name, self._artifacts.put_file(path), path.stat().st_size, file.media_type)

    def _insist(self, write: Callable[[], T]) -> T:
        """Repeat a write until the database takes it. Raises LeaseLost when that takes too long."""
        while True:
            try:
                return write()
            except Unavailable as error:
                log.warning("run.write_delayed", reason=error.message)
                if self._lease.is_lost:
                    raise LeaseLost from error
                time.sleep(FLUSH_SECONDS)


def _add(pending: list[Observation], report: Observation) -> None:
    """Keep a report; of several in a row that only tell the progress, the last one is enough."""
    if isinstance(report, Progress) and pending and isinstance(pending[-1], Progress):
        pending[-1] = report
    else:
        pending.append(report)


def _is_trainers_own(ending: Ending) -> bool:
    """Whether the trainer itself told of the failure, and so is well."""
    return isinstance(ending, Failure) and ending.type in ("keras_error", "not_finite", "bad_data")


def _explain_end(returncode: int) -> Failure:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = "It may have run out of memory: try a smaller batch_size or model. The run starts again, up to the limit."
        return Failure("killed_by_signal", f"The trainer was killed by signal {-returncode} ({name}).", hint)
    hint = "The run starts again by itself, up to the limit. The worker's trainer log has the details."
    return Failure("killed_by_signal", f"The trainer ended by itself with exit code {returncode}.", hint)
