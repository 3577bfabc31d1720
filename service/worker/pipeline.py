"""The story of a run in a worker: claim, load, fit in a trainer, follow, publish."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from service.errors import Unavailable
from service.infra.artifacts import ArtifactStore
from service.infra.database import Database
from service.infra.disk import is_full_disk
from service.infra.logging import get_logger
from service.infra.memory import oom_kills
from service.infra.scratch import left_in
from service.runs import attempts
from service.runs.attempts import ClaimedRun, Failure, Observation, Outcome, StoredFile, StoredSnapshot
from service.runs.errors import AttemptReplaced
from service.settings import Settings
from service.spec.artifacts import EVALUATION, GRAPH, MODEL, PLAN, STATE
from service.spec.frames import (
    DatasetFiles,
    EvaluateJob,
    Failed,
    Finished,
    FitJob,
    Job,
    LogLine,
    OutputFile,
    PredictJob,
    Progress,
    Ready,
    Report,
    SnapshotTaken,
    Start,
    Stop,
    Suspend,
    Suspended,
)
from service.worker.lease import Lease
from service.worker.output import AttemptLog
from service.worker.trainers import Trainer, TrainerGone

log = get_logger(__name__)

T = TypeVar("T")
TICK_SECONDS = 0.1
FLUSH_SECONDS = 0.2
CANCEL_CHECK_SECONDS = 0.25
SUSPEND_SHARE = 0.7
"""Part of the worker's grace that a trainer may take to save its state; the rest is for storing it and for leaving."""


Ending = Finished | Suspended | Failure


class LeaseLost(Exception):
    """The database has not heard of this worker for too long: others may have the run now."""


@dataclass
class Attempt:
    """What one attempt has to remember while it is followed; times are monotonic seconds."""

    run: ClaimedRun
    folder: Path
    log: AttemptLog = field(default_factory=AttemptLog)
    oom_kills_before: int = field(default_factory=oom_kills)
    started_at: float = field(default_factory=time.monotonic)
    last_report_at: float = field(default_factory=time.monotonic)
    last_flush_at: float = 0.0
    last_cancel_check_at: float = 0.0
    stop_sent_at: float | None = None
    suspend_sent_at: float | None = None
    pending: list[Observation] = field(default_factory=list)


class Pipeline:
    """Does one run after the other with one trainer at a time. One pipeline per slot."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        settings: Settings,
        lease: Lease,
        stopping: threading.Event,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._settings = settings
        self._lease = lease
        self._stopping = stopping

    def train_run(self, run: ClaimedRun, trainer: Trainer) -> bool:
        """Do a claimed run to its end; returns whether the trainer is still fit for another one."""
        claim = run.claim
        log.info("run.claimed", run_id=claim.run_id, attempt=claim.attempt)
        with self._lease.hold(claim, trainer):
            try:
                return self._do(run, trainer)
            except (AttemptReplaced, LeaseLost) as error:
                log.warning("run.lost", run_id=claim.run_id, attempt=claim.attempt, reason=type(error).__name__)
                return False

    def _do(self, run: ClaimedRun, trainer: Trainer) -> bool:
        try:
            with trainer.job_folder() as folder:
                attempt = Attempt(run, folder)
                ending = self._fit(attempt, trainer)
                outcome = self._conclude(attempt, ending)
        except OSError as error:
            if not is_full_disk(error):
                raise
            ending, outcome = self._fail_for_full_disk(run)
        claim = run.claim
        log.info("run.ended", run_id=claim.run_id, attempt=claim.attempt, state=outcome.state, version=outcome.version)
        return isinstance(ending, Finished) or _is_trainers_own(ending)

    def _fail_for_full_disk(self, run: ClaimedRun) -> tuple[Failure, Outcome]:
        hint = "The worker's operator must make room; 'fitserve gc' may help. The run goes on by itself, up to the limit."
        failure = Failure("disk_full", "The disk of the worker is full.", hint)
        return failure, self._insist(lambda: attempts.fail(self._database, run.claim, failure, self._settings))

    def _fit(self, attempt: Attempt, trainer: Trainer) -> Ending:
        try:
            job = self._job(attempt)
        except FileNotFoundError:
            message = "A file of the dataset, or of what it continues, measures or predicts with, is not in the artifact store."
            return Failure("bad_data", message, "Upload the dataset again, then start a new run.")
        try:
            trainer.take_printed()  # what it said before belongs to no run
            trainer.send(job)
            return self._follow(attempt, trainer)
        except TrainerGone as error:
            if self._lease.is_lost:
                raise LeaseLost from error
            attempt.pending.extend(attempt.log.lines(trainer.take_printed()))
            return _explain_end(error.returncode, trainer.exceeded_memory_bytes, oom_kills() > attempt.oom_kills_before)

    def _job(self, attempt: Attempt) -> Job:
        match attempt.run.kind:
            case "fit":
                return self._fit_job(attempt)
            case "evaluate":
                return self._evaluate_job(attempt)
            case "predict":
                return self._predict_job(attempt)

    def _fit_job(self, attempt: Attempt) -> FitJob:
        run = attempt.run
        return FitJob(
            run_id=run.claim.run_id,
            attempt=run.claim.attempt,
            directory=str(attempt.folder),
            definition=run.definition,
            compile=run.compile,
            fit=run.fit,
            features=run.features,
            dataset=self._files(run.dataset),
            target=run.target,
            seed=run.seed,
            publish=run.wants_version,
            max_parameters=self._settings.max_parameters,
            resume=self._find_snapshots(run),
            snapshot_seconds=self._settings.snapshot_seconds,
            validation_dataset=self._other_dataset(run, "validation"),
            test_dataset=self._other_dataset(run, "test"),
            start=self._start(run),
            cache_directory=str(self._settings.encoded_cache_folder),
            cache_bytes=self._settings.encoded_cache_bytes,
        )

    def _evaluate_job(self, attempt: Attempt) -> EvaluateJob:
        run = attempt.run
        files = run.sources["evaluated"]["files"]
        evaluation = self._artifacts.read(files[EVALUATION]) if EVALUATION in files else b"{}"
        return EvaluateJob(
            run_id=run.claim.run_id,
            attempt=run.claim.attempt,
            directory=str(attempt.folder),
            model=str(self._artifacts.local_path(files[MODEL])),
            plan=orjson.loads(self._artifacts.read(files[PLAN])),
            baselines=orjson.loads(evaluation).get("baselines"),
            dataset=self._files(run.dataset),
            batch_size=run.fit["batch_size"],
            sample_weight=run.fit.get("sample_weight"),
        )

    def _predict_job(self, attempt: Attempt) -> PredictJob:
        run = attempt.run
        files = run.sources["predicted_by"]["files"]
        return PredictJob(
            run_id=run.claim.run_id,
            attempt=run.claim.attempt,
            directory=str(attempt.folder),
            model=str(self._artifacts.local_path(files[MODEL])),
            graph=str(self._artifacts.local_path(files[GRAPH])) if GRAPH in files else None,
            plan=orjson.loads(self._artifacts.read(files[PLAN])),
            dataset=self._files(run.dataset),
            columns=run.fit["columns"],
            format=run.fit["format"],
            parts=self._find_snapshots(run)[::-1],
            snapshot_seconds=self._settings.snapshot_seconds,
        )

    def _other_dataset(self, run: ClaimedRun, name: str) -> DatasetFiles | None:
        source = run.sources.get(name)
        return self._files(source) if source else None

    def _start(self, run: ClaimedRun) -> Start | None:
        source = run.sources.get("start")
        if source is None:
            return None
        files = {name: str(self._artifacts.local_path(sha256)) for name, sha256 in source["files"].items()}
        return Start(run_id=source["run"], take=source["take"], model=files[MODEL], state=files.get(STATE))

    def _files(self, dataset: dict[str, Any]) -> DatasetFiles:
        """A dataset as local files. Raises FileNotFoundError."""
        files = {name: str(self._artifacts.local_path(sha256)) for name, sha256 in dataset["files"].items()}
        classes = dataset.get("classes", {})
        return DatasetFiles(kind=dataset["kind"], files=files, sha256=dataset["files"], classes=classes)

    def _find_snapshots(self, run: ClaimedRun) -> list[str]:
        paths = []
        for sha256 in run.snapshots:
            try:
                paths.append(str(self._artifacts.local_path(sha256)))
            except FileNotFoundError:
                log.warning("run.snapshot_missing", run_id=run.claim.run_id, sha256=sha256)
        return paths

    def _follow(self, attempt: Attempt, trainer: Trainer) -> Ending:
        while True:
            report = trainer.receive(TICK_SECONDS)
            attempt.pending.extend(attempt.log.lines(trainer.take_printed()))
            if isinstance(report, Finished | Suspended):
                return report
            if isinstance(report, Failed):
                return Failure(report.type, report.message, report.hint)
            if report is not None:
                attempt.last_report_at = time.monotonic()
                self._take(attempt, report)
            self._flush_when_due(attempt)
            self._pass_on_wishes(attempt, trainer)
            ending = self._find_reason_to_kill(attempt)
            if ending is not None:
                trainer.kill()
                return ending

    def _take(self, attempt: Attempt, report: Report) -> None:
        match report:
            case SnapshotTaken():
                attempt.pending.append(self._store_snapshot(attempt, report))
            case Progress() if attempt.pending and isinstance(attempt.pending[-1], Progress):
                attempt.pending[-1] = report  # of several in a row the last one is enough
            case Ready() | Finished() | Failed() | Suspended():
                pass  # they are no news of a fit
            case _:
                attempt.pending.append(report)

    def _store_snapshot(self, attempt: Attempt, taken: SnapshotTaken) -> StoredSnapshot | LogLine:
        path = left_in(attempt.folder, taken.path)
        size_bytes = path.stat().st_size
        try:
            sha256 = self._artifacts.put_file(path, move=True)
        except OSError as error:
            if not is_full_disk(error):
                raise
            path.unlink(missing_ok=True)
            return LogLine(level="warning", message="A snapshot could not be stored, because the disk is full.")
        return StoredSnapshot(sha256, size_bytes, taken.epoch, taken.step)

    def _flush_when_due(self, attempt: Attempt) -> None:
        """Write what was reported, at most every 200 ms; while the database is away it is kept and the fit goes on."""
        if self._lease.is_lost:
            raise LeaseLost
        now = time.monotonic()
        if not attempt.pending or now - attempt.last_flush_at < FLUSH_SECONDS:
            return
        attempt.last_flush_at = now
        try:
            self._record(attempt)
        except Unavailable as error:
            log.warning("run.report_delayed", run_id=attempt.run.claim.run_id, reason=error.message)

    def _record(self, attempt: Attempt) -> None:
        replaced = attempts.record(self._database, attempt.run.claim, attempt.pending)
        attempt.pending.clear()
        self._delete_snapshots(replaced)

    def _delete_snapshots(self, hashes: list[str]) -> None:
        """What a kill leaves behind here, garbage collection finds."""
        for sha256 in hashes:
            self._artifacts.delete(sha256)

    def _find_reason_to_kill(self, attempt: Attempt) -> Suspended | Failure | None:
        now = time.monotonic()
        timeout = attempt.run.timeout_seconds or self._settings.run_timeout_seconds
        if attempt.run.spent_seconds + now - attempt.started_at > timeout:
            hint = "Ask for fewer epochs, a smaller model or a longer timeout_seconds."
            return Failure("timeout", f"The fit took longer than {timeout:g} seconds.", hint)
        silence = self._settings.no_progress_seconds
        if now - attempt.last_report_at > silence:
            hint = "The run goes on by itself, up to the limit. A smaller batch_size reports more often."
            return Failure("no_progress", f"The trainer reported nothing for {silence:g} seconds.", hint)
        grace = self._settings.cancel_grace_seconds
        if _is_over(attempt.stop_sent_at, grace):
            return Failure("no_progress", f"The trainer did not stop within {grace:g} seconds.", "It was killed.")
        if _is_over(attempt.suspend_sent_at, SUSPEND_SHARE * self._settings.shutdown_grace_seconds):
            return Suspended()  # the last snapshot must do
        return None

    def _pass_on_wishes(self, attempt: Attempt, trainer: Trainer) -> None:
        now, claim = time.monotonic(), attempt.run.claim
        if self._stopping.is_set() and attempt.suspend_sent_at is None:
            trainer.send(Suspend(run_id=claim.run_id, attempt=claim.attempt))
            attempt.suspend_sent_at = now
        if attempt.stop_sent_at is not None or now - attempt.last_cancel_check_at < CANCEL_CHECK_SECONDS:
            return
        attempt.last_cancel_check_at = now
        try:
            keep = attempts.cancel_wish(self._database, claim)
        except Unavailable:
            return
        if keep is not None:
            trainer.send(Stop(run_id=claim.run_id, attempt=claim.attempt, keep=keep))
            attempt.stop_sent_at = now

    def _conclude(self, attempt: Attempt, ending: Ending) -> Outcome:
        claim = attempt.run.claim
        if attempt.pending:
            self._insist(lambda: self._record(attempt))
        match ending:
            case Suspended():
                outcome = self._insist(lambda: attempts.release(self._database, claim))
            case Failure():
                outcome = self._insist(lambda: attempts.fail(self._database, claim, ending, self._settings))
            case Finished():
                files = [self._store(attempt, file) for file in ending.files]
                outcome = self._insist(lambda: attempts.complete(self._database, claim, ending, files))
        self._delete_snapshots(outcome.snapshots)
        return outcome

    def _store(self, attempt: Attempt, file: OutputFile) -> StoredFile:
        path = left_in(attempt.folder, file.path)
        size_bytes = path.stat().st_size
        return StoredFile(file.name, self._artifacts.put_file(path, move=True), size_bytes, file.media_type)

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


def _is_over(began_at: float | None, seconds: float) -> bool:
    return began_at is not None and time.monotonic() - began_at > seconds


def _is_trainers_own(ending: Ending) -> bool:
    """Whether the trainer itself told of the failure, and so is well."""
    return isinstance(ending, Failure) and ending.type in ("keras_error", "not_finite", "bad_data", "disk_full")


def _explain_end(returncode: int, exceeded_memory_bytes: int | None, is_oom_kill: bool) -> Failure:
    hint = "Use a smaller batch_size, fewer or smaller layers, or a worker with more memory."
    if exceeded_memory_bytes is not None:
        used = exceeded_memory_bytes / 1024**2
        message = f"The trainer used {used:,.0f} MiB of memory, more than its limit (FITSERVE_TRAINER_MEMORY_BYTES)."
        return Failure("out_of_memory", message, hint)
    if returncode == -signal.SIGKILL and is_oom_kill:
        return Failure("out_of_memory", "The machine had no memory left, so its kernel killed the trainer.", hint)
    hint = "The run goes on by itself, up to the limit of attempts. Its log may say more."
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return Failure("killed_by_signal", f"The trainer was killed by signal {-returncode} ({name}).", hint)
    return Failure("killed_by_signal", f"The trainer ended by itself with exit code {returncode}.", hint)
