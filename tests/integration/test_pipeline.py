"""What a worker makes of its trainer's end: the pipeline on real databases with a trainer that follows a script."""

import errno
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from service.infra.artifacts import LocalArtifactStore
from service.infra.database import Database
from service.runs import attempts, repository
from service.runs.service import request_cancel
from service.runs.tables import Run, RunAttempt
from service.settings import Settings
from service.spec.frames import (
    EpochEnded,
    Failed,
    Finished,
    FitJob,
    OutputFile,
    PhaseStarted,
    Resumed,
    SnapshotTaken,
    Stop,
    Suspend,
    Suspended,
)
from service.worker.lease import Lease
from service.worker.pipeline import Pipeline
from service.worker.trainers import Trainer, TrainerGone
from service.workspaces.tables import DEFAULT_WORKSPACE_ID
from tests.factories import queue_run
from tests.fakes.trainers import FakeTrainer

FINISHED = Finished(outcome="completed", metrics={"loss": 0.5}, files=[], publication=None, publish_reason=None)
EPOCH = EpochEnded(epoch=1, metrics={"loss": 0.5}, seconds=0.1)


class Worker:
    """One slot's pipeline, and the run that it does."""

    def __init__(self, database: Database, settings: Settings, folder: Path, **changes: Any) -> None:
        self.database = database
        self.settings = settings.model_copy(update=changes)
        self.stopping = threading.Event()
        self.lease = Lease(self.settings.lease_seconds)
        self.store = LocalArtifactStore(folder / "artifacts")
        self._folder = folder
        data = folder / "table"
        data.write_bytes(b"rows")
        self._files = {"kind": "table", "files": {"table": self.store.put_file(data)}}

    def do(self, trainer: FakeTrainer, **fields: Any) -> tuple[Run, bool]:
        """Queue a run, claim one and do it; the run that was queued afterwards, and whether the trainer may go on."""
        run_id = queue_run(self.database, dataset_files=self._files, **fields)
        _, is_well = self.do_next(trainer)
        with self.database.read() as session:
            return session.get_one(Run, run_id), is_well

    def do_next(self, trainer: FakeTrainer) -> tuple[Run, bool]:
        """Claim the best waiting run and do it; the run afterwards, and whether the trainer may go on."""
        claimed = attempts.claim(self.database, self.settings, "wrk_1", ["cpu"])
        assert claimed is not None
        trainer.folder = self._folder
        pipeline = Pipeline(self.database, self.store, self.settings, self.lease, self.stopping)
        is_well = pipeline.train_run(claimed, cast(Trainer, trainer))
        with self.database.read() as session:
            return session.get_one(Run, claimed.claim.run_id), is_well


@pytest.fixture
def worker(database: Database, settings: Settings, tmp_path: Path) -> Worker:
    return Worker(database, settings, tmp_path)


def test_a_finished_fit_is_a_succeeded_run_with_its_files(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text("{}")
    output = OutputFile(name="history.json", path=str(file), media_type="application/json")
    finished = Finished(outcome="completed", metrics={}, files=[output], publication=None, publish_reason="No.")
    trainer = FakeTrainer(PhaseStarted(phase="fitting"), EPOCH, finished)

    run, is_well = worker.do(trainer)

    assert (run.state, run.epoch, run.publish_reason, is_well) == ("succeeded", 1, "No.", True)
    assert isinstance(trainer.commands[0], FitJob)


def test_a_trainer_cannot_have_a_file_of_others_taken_away(worker: Worker, tmp_path: Path) -> None:
    database = tmp_path / "elsewhere" / "fitserve.db"
    database.parent.mkdir()
    database.write_text("rows of others")
    stolen = OutputFile(name="history.json", path=str(database), media_type="application/json")
    finished = Finished(outcome="completed", metrics={}, files=[stolen], publication=None, publish_reason=None)

    with pytest.raises(PermissionError):
        worker.do(FakeTrainer(finished))
    with pytest.raises(PermissionError):
        worker.do(FakeTrainer(SnapshotTaken(path=str(database), epoch=1, step=0, seconds=0.1)))

    assert database.read_text() == "rows of others"


def test_a_failure_that_the_trainer_tells_of_ends_the_run_and_leaves_the_trainer(worker: Worker) -> None:
    run, is_well = worker.do(FakeTrainer(Failed(type="keras_error", message="No.", hint="Mend it.")))

    assert run.state == "failed"
    assert run.failure == {"type": "keras_error", "message": "No.", "hint": "Mend it."}
    assert is_well


def test_a_killed_trainer_brings_the_run_back_to_the_queue(worker: Worker) -> None:
    run, is_well = worker.do(FakeTrainer(EPOCH, TrainerGone(-9)))

    assert (run.state, run.failures, is_well) == ("queued", 1, False)
    assert run.failure is not None
    assert "SIGKILL" in run.failure["message"]


def test_a_silent_trainer_is_killed_and_its_run_tried_again(database: Database, settings: Settings, tmp_path: Path) -> None:
    worker, trainer = Worker(database, settings, tmp_path, no_progress_seconds=0.01), FakeTrainer()

    run, _ = worker.do(trainer)

    assert trainer.is_killed
    assert (run.state, (run.failure or {})["type"]) == ("queued", "no_progress")


def test_a_run_over_its_time_has_failed(worker: Worker) -> None:
    trainer = FakeTrainer()

    run, _ = worker.do(trainer, timeout_seconds=0.01)

    assert trainer.is_killed
    assert (run.state, (run.failure or {})["type"]) == ("failed", "timeout")


def test_a_trainer_that_does_not_stop_is_killed_and_the_run_is_cancelled(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    worker = Worker(database, settings, tmp_path, cancel_grace_seconds=0.01)

    class Deaf(FakeTrainer):
        def send(self, command: Any) -> None:
            super().send(command)
            if isinstance(command, FitJob):
                with database.write() as session:
                    request_cancel(session, DEFAULT_WORKSPACE_ID, command.run_id, "last")

    trainer = Deaf()
    run, _ = worker.do(trainer)

    assert any(isinstance(command, Stop) and command.keep == "last" for command in trainer.commands)
    assert trainer.is_killed
    assert (run.state, run.version) == ("cancelled", None)


def test_a_stopping_worker_saves_the_state_and_gives_its_run_back_without_counting_a_failure(
    worker: Worker, tmp_path: Path
) -> None:
    worker.stopping.set()
    snapshot = tmp_path / "snapshot.npz"
    snapshot.write_bytes(b"state")
    taken = SnapshotTaken(path=str(snapshot), epoch=1, step=2, seconds=0.1)
    trainer = FakeTrainer(PhaseStarted(phase="fitting"), EPOCH, taken, Suspended())

    run, _ = worker.do(trainer)

    assert any(isinstance(command, Suspend) for command in trainer.commands)
    assert not trainer.is_killed
    assert (run.state, run.failures, run.owner) == ("queued", 0, None)
    (stored,) = run.snapshots
    assert (stored["epoch"], stored["step"], stored["size_bytes"]) == (1, 2, 5)
    assert worker.store.read(stored["sha256"]) == b"state"
    assert not snapshot.exists()


def test_a_trainer_that_does_not_save_its_state_in_time_is_killed(database: Database, settings: Settings, tmp_path: Path) -> None:
    worker, trainer = Worker(database, settings, tmp_path, shutdown_grace_seconds=0.01), FakeTrainer()
    worker.stopping.set()

    run, is_well = worker.do(trainer)

    assert trainer.is_killed
    assert (run.state, run.failures, is_well) == ("queued", 0, False)


def test_the_next_attempt_gets_the_snapshots_and_the_end_deletes_them(worker: Worker, tmp_path: Path) -> None:
    files = {}
    for name in ("old", "new"):
        path = tmp_path / name
        path.write_bytes(name.encode())
        files[name] = worker.store.put_file(path)
    snapshots = [{"sha256": files[name], "size_bytes": 3, "epoch": 1, "step": 0} for name in ("new", "old")]
    trainer = FakeTrainer(Resumed(from_epoch=1, from_step=0), FINISHED)

    run, _ = worker.do(trainer, snapshots=snapshots)

    job = trainer.commands[0]
    assert isinstance(job, FitJob)
    assert [Path(path).name for path in job.resume] == [files["new"], files["old"]]
    assert (run.state, run.snapshots) == ("succeeded", [])
    for sha256 in files.values():
        with pytest.raises(FileNotFoundError):
            worker.store.local_path(sha256)


def test_what_the_trainer_prints_can_be_read_without_paths_and_traces(worker: Worker) -> None:
    trainer = FakeTrainer(Failed(type="keras_error", message="No.", hint="Mend it."))
    trainer.script_prints(
        "Traceback (most recent call last):",
        '  File "/srv/fitserve/loop.py", line 3, in run',
        "    raise ValueError",
        "ValueError: cannot read /srv/fitserve/secret/data.npy",
    )

    run, _ = worker.do(trainer)

    with worker.database.read() as session:
        lines = [event.data["message"] for event in repository.list_events_after(session, run.id, 0) if event.kind == "log"]
    assert lines == ["ValueError: cannot read (path)", "No."]


def test_a_trainer_killed_for_its_memory_has_run_out_of_it(worker: Worker) -> None:
    trainer = FakeTrainer(EPOCH, TrainerGone(-9))
    trainer.exceeded_memory_bytes = 3 * 1024**3

    run, is_well = worker.do(trainer)

    assert (run.state, (run.failure or {})["type"], is_well) == ("failed", "out_of_memory", False)
    assert "3,072 MiB" in (run.failure or {})["message"]


def test_a_full_disk_is_a_failure_of_the_worker_and_the_run_is_tried_again(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "history.json"
    file.write_text("{}")
    output = OutputFile(name="history.json", path=str(file), media_type="application/json")
    finished = Finished(outcome="completed", metrics={}, files=[output], publication=None, publish_reason=None)
    monkeypatch.setattr(worker.store, "put_file", refuse)

    run, is_well = worker.do(FakeTrainer(finished))

    assert (run.state, (run.failure or {})["type"], run.failures, is_well) == ("queued", "disk_full", 1, True)


def test_earlier_attempts_count_against_the_time_of_a_run(worker: Worker) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    earlier = RunAttempt(
        number=1, worker_id="wrk_0", started_at=began, ended_at=began + timedelta(minutes=9), cause="lost_worker"
    )

    run, _ = worker.do(FakeTrainer(), timeout_seconds=500, attempts=[earlier], attempt=1)

    assert (run.state, (run.failure or {})["type"]) == ("failed", "timeout")


def test_a_worker_whose_lease_is_lost_writes_nothing_more(database: Database, settings: Settings, tmp_path: Path) -> None:
    worker = Worker(database, settings, tmp_path)
    worker.lease.renew(asked_at=-1e9)

    run, is_well = worker.do(FakeTrainer(EPOCH, FINISHED))

    assert (run.state, run.epoch, is_well) == ("running", 0, False)


def test_a_dataset_whose_file_is_gone_fails_the_run_with_a_hint(worker: Worker) -> None:
    files = {"kind": "table", "files": {"table": "f" * 64}}
    run_id = queue_run(worker.database, dataset_files=files, priority=1)

    run, _ = worker.do(FakeTrainer())

    assert run.id != run_id
    with worker.database.read() as session:
        first = session.get_one(Run, run_id)
    assert (first.state, (first.failure or {})["type"]) == ("failed", "bad_data")
