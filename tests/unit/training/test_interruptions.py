"""A real trainer process that is suspended, killed or out of disk space, and another one that goes on."""

import json
import os
import signal
import time
from pathlib import Path

import keras
import pytest

from service.spec.frames import (
    EpochEnded,
    Failed,
    Finished,
    LogLine,
    Resumed,
    SnapshotTaken,
    Stop,
    Suspend,
    Suspended,
)
from tests.unit.training.conftest import TrainerProcess, make_job

NOISY = {
    "layers": [
        {"type": "Dense", "units": 16, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
}
FIT = {"epochs": 60, "batch_size": 4, "validation_split": 0.2}
OFTEN = 0.05


def receive_until(trainer, kind):
    frames = [trainer.receive()]
    while not isinstance(frames[-1], kind):
        assert not isinstance(frames[-1], Finished | Failed), frames[-1]
        frames.append(trainer.receive())
    return frames


def results(folder: Path):
    model = keras.saving.load_model(folder / "model.keras")
    history = json.loads((folder / "history.json").read_bytes())
    return [weight.tobytes() for weight in model.get_weights()], history


@pytest.fixture(scope="module")
def undisturbed(trainer, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert isinstance(trainer.run(make_job(folder, digits, definition=NOISY, fit=FIT))[-1], Finished)
    return results(folder)


def test_a_suspended_fit_goes_on_in_another_process(trainer, undisturbed, digits, tmp_path):
    job = make_job(tmp_path / "first", digits, definition=NOISY, fit=FIT)
    trainer.send(job)
    receive_until(trainer, EpochEnded)
    began = time.monotonic()
    trainer.send(Suspend(run_id=job.run_id, attempt=job.attempt))
    frames = receive_until(trainer, Suspended)
    assert time.monotonic() - began < 2
    taken = [frame for frame in frames if isinstance(frame, SnapshotTaken)][-1]

    other = TrainerProcess(tmp_path / "other.log")
    try:
        other.await_ready()
        frames = other.run(make_job(tmp_path / "second", digits, definition=NOISY, fit=FIT, attempt=2, resume=[taken.path]))
    finally:
        other.close()
    assert [frame for frame in frames if isinstance(frame, Resumed)] == [
        Resumed(from_epoch=taken.epoch, from_step=taken.step, inexact_reason=None)
    ]
    assert results(tmp_path / "second") == undisturbed


def test_a_killed_fit_goes_on_from_its_last_snapshot(trainer, undisturbed, digits, tmp_path):
    killed = TrainerProcess(tmp_path / "killed.log")
    try:
        killed.await_ready()
        killed.send(make_job(tmp_path / "first", digits, definition=NOISY, fit=FIT, snapshot_seconds=OFTEN))
        taken = receive_until(killed, SnapshotTaken)[-1]
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
    finally:
        killed.close()
    frames = trainer.run(make_job(tmp_path / "second", digits, definition=NOISY, fit=FIT, attempt=2, resume=[taken.path]))
    assert [frame.epoch for frame in frames if isinstance(frame, EpochEnded)] == list(range(taken.epoch + 1, 61))
    assert results(tmp_path / "second") == undisturbed


def test_an_unreadable_snapshot_is_passed_over(trainer, undisturbed, digits, tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"no snapshot")
    frames = trainer.run(make_job(tmp_path / "run", digits, definition=NOISY, fit=FIT, attempt=2, resume=[str(damaged)]))
    assert any(isinstance(frame, LogLine) and "cannot be read" in frame.message for frame in frames)
    assert Resumed(from_epoch=0, from_step=0) in frames
    assert results(tmp_path / "run") == undisturbed


def test_a_suspend_before_the_fit_ends_the_job_without_a_snapshot(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits)
    trainer.send(Suspend(run_id=job.run_id, attempt=job.attempt))
    trainer.send(job)
    frames = receive_until(trainer, Suspended)
    assert not any(isinstance(frame, SnapshotTaken | EpochEnded) for frame in frames)


def test_a_stop_before_the_fit_ends_the_job(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits)
    trainer.send(Stop(run_id=job.run_id, attempt=job.attempt, keep="last"))
    frames = trainer.run(job)
    assert (frames[-1].outcome, frames[-1].publication) == ("stopped", None)
    assert "not fitting" in frames[-1].publish_reason
    assert not any(isinstance(frame, EpochEnded) for frame in frames)


def test_a_full_disk_costs_the_snapshots_but_not_the_fit(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit=FIT, snapshot_seconds=OFTEN, publish=False)
    for number in range(1, 200):  # every write to /dev/full is answered with ENOSPC
        (tmp_path / "run" / f"snapshot-{number}.incomplete").symlink_to("/dev/full")
    frames = trainer.run(job)
    warnings = [frame.message for frame in frames if isinstance(frame, LogLine)]
    assert len(warnings) == 1
    assert "disk" in warnings[0]
    assert not any(isinstance(frame, SnapshotTaken) for frame in frames)
    assert frames[-1].outcome == "completed"


def test_a_full_disk_at_the_end_is_a_failure_that_says_so(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit={"epochs": 1}, publish=False)
    (tmp_path / "run" / "history.json").symlink_to("/dev/full")
    failed = trainer.run(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.type == "disk_full"
    assert failed.hint
