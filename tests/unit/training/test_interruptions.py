"""A real trainer process that is suspended, killed or out of disk space, and another one that goes on."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest

from service.spec.frames import (
    EpochEnded,
    Failed,
    Finished,
    Frame,
    LogLine,
    Resumed,
    SnapshotTaken,
    Stop,
    Suspend,
    Suspended,
    read_frame,
    report_decoder,
)
from tests.unit.training.conftest import TrainerProcess, make_job, store_arrays

NOISY = {
    "layers": [
        {"type": "Dense", "units": 16, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
}
FIT = {"epochs": 60, "batch_size": 4, "validation_split": 0.2}
NOISY_JOB = {"definition": NOISY, "fit": FIT}
AVERAGING = {
    "optimizer": {"type": "AdamW", "use_ema": True, "ema_momentum": 0.9},
    "loss": {"type": "BinaryCrossentropy"},
    "metrics": [{"type": "AUC"}],
}
WATCHED = [
    {"type": "EarlyStopping", "patience": 3, "restore_best_weights": True},
    {"type": "ReduceLROnPlateau", "patience": 1, "min_delta": 0.05},
    {"type": "ModelCheckpoint", "monitor": "val_auc", "mode": "max"},
]
LONG_EPOCHS = {"epochs": 12, "batch_size": 1, "validation_split": 0.2, "validation_freq": 2, "callbacks": WATCHED}
OFTEN = 0.05
FULL_DISK = "The disk of the worker is full, so what the fit has made could not be written."


def receive_until(trainer, kind):
    frames = [trainer.receive()]
    while not isinstance(frames[-1], kind):
        assert not isinstance(frames[-1], Finished | Failed), frames[-1]
        frames.append(trainer.receive())
    return frames


def results(folder: Path):
    """Weights and the optimizer's state as bytes, those of the best epoch too where they were kept, and the history."""
    models = [keras.saving.load_model(folder / name) for name in ("model.keras", "best.keras") if (folder / name).exists()]
    history = json.loads((folder / "history.json").read_bytes())
    variables = [variable for model in models for variable in [*model.weights, *model.optimizer.variables]]
    return [variable.numpy().tobytes() for variable in variables], history


@pytest.fixture(scope="module")
def undisturbed(trainer, digits, tmp_path_factory):
    return undisturbed_results(trainer, digits, tmp_path_factory.mktemp("undisturbed"))


def undisturbed_results(trainer, digits, folder, **fields):
    assert isinstance(trainer.run(make_job(folder, digits, **(NOISY_JOB | fields)))[-1], Finished)
    return results(folder)


def kill(trainer) -> list[Frame]:
    """Kill it and give what it had still said."""
    os.kill(trainer.process.pid, signal.SIGKILL)
    trainer.process.wait()
    frames = []
    while (frame := read_frame(trainer.process.stdout, report_decoder)) is not None:
        frames.append(frame)
    return frames


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


def test_a_fit_that_is_killed_in_the_midst_of_epochs_ends_as_if_undisturbed(trainer, digits, tmp_path):
    """288 steps per epoch, two kills: attempts 1 and 2 in one process each, attempt 3 in a third."""
    fields = {"definition": NOISY, "compile": AVERAGING, "fit": LONG_EPOCHS}
    expected = undisturbed_results(trainer, digits, tmp_path / "undisturbed", **fields)
    assert (tmp_path / "undisturbed" / "best.keras").exists()
    resume: list[str] = []
    for attempt in (1, 2):
        other = TrainerProcess(tmp_path / f"{attempt}.log")
        try:
            other.await_ready()
            folder = tmp_path / f"attempt {attempt}"
            other.send(make_job(folder, digits, **fields, attempt=attempt, resume=resume, snapshot_seconds=0.01))
            frames = receive_until(other, SnapshotTaken)
            while not frames[-1].step:
                frames += receive_until(other, SnapshotTaken)
            frames += kill(other)
        finally:
            other.close()
        taken = [frame for frame in frames if isinstance(frame, SnapshotTaken)]
        resume = [frame.path for frame in reversed(taken)]
    frames = trainer.run(make_job(tmp_path / "last", digits, **fields, attempt=3, resume=resume))
    assert Resumed(from_epoch=taken[-1].epoch, from_step=taken[-1].step) in frames
    assert results(tmp_path / "last") == expected


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


@contextmanager
def disk_of(megabytes: float, folder: Path) -> Iterator[Path]:
    """A real file system of this size, where this user may mount one."""
    folder.mkdir()
    options = f"size={int(megabytes * 1024)}k"
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def wide_job(folder: Path, data: Path, **fields):
    """A model of 2.1 MB of weights, and as much again where the optimizer has a momentum."""
    noise = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    dataset = store_arrays(data, x=noise, y=noise[:, :1].copy())
    layers = [{"type": "Dense", "units": 1024}, {"type": "Dense", "units": 256}, {"type": "Dense", "units": 1}]
    compile_spec = {"optimizer": {"type": "SGD", "learning_rate": 1e-4}, "loss": {"type": "MeanSquaredError"}}
    defaults = {"definition": {"layers": layers}, "compile": compile_spec, "target": "y", "fit": {"epochs": 300}}
    return make_job(folder, dataset, **(defaults | fields))


def test_a_disk_too_small_for_a_snapshot_costs_a_warning_and_one_too_small_for_the_model_the_run(trainer, tmp_path):
    with disk_of(1, tmp_path / "run") as folder:
        frames = trainer.run(wide_job(folder, tmp_path, snapshot_seconds=OFTEN))
        assert not [path for path in folder.iterdir() if path.name.startswith("snapshot")]
    assert [frame.level for frame in frames if isinstance(frame, LogLine)] == ["warning"]
    assert [frame.epoch for frame in frames if isinstance(frame, EpochEnded)] == list(range(1, 301))
    failed = frames[-1]
    assert isinstance(failed, Failed)
    assert (failed.type, failed.message) == ("disk_full", FULL_DISK)


def test_a_disk_too_small_for_the_export_is_a_full_disk_and_no_fault_of_the_model(trainer, tmp_path):
    with disk_of(3, tmp_path / "run") as folder:
        failed = trainer.run(wide_job(folder, tmp_path, fit={"epochs": 1}))[-1]
        assert (folder / "model.keras").stat().st_size > 2_000_000
    assert isinstance(failed, Failed)
    assert failed.type == "disk_full"


def test_a_full_disk_under_the_log_ends_no_job(digits, tmp_path):
    other = TrainerProcess(Path("/dev/full"))
    try:
        other.await_ready()
        assert isinstance(other.run(make_job(tmp_path / "bad", digits, target="nobody"))[-1], Failed)
        assert isinstance(other.run(make_job(tmp_path / "good", digits, fit={"epochs": 1}))[-1], Finished)
    finally:
        other.close()


def test_a_full_disk_at_the_end_is_a_failure_that_says_so(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit={"epochs": 1}, publish=False)
    (tmp_path / "run" / "history.json").symlink_to("/dev/full")
    failed = trainer.run(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.type == "disk_full"
    assert failed.hint
