"""Tiny jobs, tiny data and one real trainer process."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.datasets import load_digits

from service.spec.compile import LossBase
from service.spec.features import FeaturesSpec
from service.spec.frames import (
    Command,
    DatasetFiles,
    Failed,
    Finished,
    FitJob,
    Frame,
    Ready,
    Suspended,
    read_frame,
    report_decoder,
    write_frame,
)
from service.training import fitting
from service.training.examples import About, Examples, Part
from service.training.loop import release
from tests.planning import plan_arrays

TUTORIAL_LAYERS = [
    {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
    {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
    {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
]


def make_examples(x: np.ndarray, y: np.ndarray, train_rows: int, loss: LossBase) -> Examples:
    """Encoded examples of arrays, the first rows to learn from and the rest to validate with."""
    plan, chosen, warnings = plan_arrays({"x": x, "y": y}, FeaturesSpec(), "y", loss, np.arange(len(x)) < train_rows)
    validation = Part((x[train_rows:],), (y[train_rows:],)) if train_rows < len(x) else None
    about = About(plan=plan, chosen=chosen, warnings=warnings, raw=[])
    return Examples(Part((x[:train_rows],), (y[:train_rows],)), validation, about)


class TrainerProcess:
    """A trainer as a worker has it."""

    def __init__(self, log: Path, temporary: Path | None = None) -> None:
        """``temporary``: where it may write; the folder for temporary files of this machine, and so of the tests, if left out."""
        self._log = log.open("wb")
        environment = os.environ | {"FITSERVE_TRAINER_THREADS": "2"} | ({"TMPDIR": str(temporary)} if temporary else {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.training", "/dev/full"],  # which stands for a file on a full disk
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment,
        )  # fmt: skip

    def send(self, command: Command) -> None:
        write_frame(self.process.stdin, command)

    def receive(self) -> Frame:
        frame = read_frame(self.process.stdout, report_decoder)
        assert frame is not None, "the trainer has ended"
        return frame

    def await_ready(self) -> Ready:
        frame = self.receive()
        assert isinstance(frame, Ready)
        return frame

    def run(self, job: FitJob) -> list[Frame]:
        """Every frame of a job, the last one included."""
        self.send(job)
        frames = [self.receive()]
        while not isinstance(frames[-1], Finished | Suspended | Failed):
            frames.append(self.receive())
        return frames

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self._log.close()


@pytest.fixture
def one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executions of a single step, so that a snapshot may come after every one of them."""
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test leaves behind is let go, so that Keras, which collects garbage for every model, need not look through it."""
    yield
    release()
    gc.freeze()


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    trainer = TrainerProcess(tmp_path_factory.mktemp("trainer") / "trainer.log")
    trainer.await_ready()
    yield trainer
    trainer.close()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DatasetFiles:
    """Real pictures of zeros and ones, as a table of 64 pixels and the digit."""
    pictures, labels = load_digits(n_class=2, return_X_y=True)
    columns = {f"pixel_{i}": pictures[:, i].astype(np.int64) for i in range(pictures.shape[1])}
    return store_table(tmp_path_factory.mktemp("digits"), columns | {"digit": labels})


def store_table(folder: Path, columns: dict[str, Any]) -> DatasetFiles:
    path = folder / "table.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    return DatasetFiles(kind="table", files={"table": str(path)})


def store_arrays(folder: Path, **arrays: np.ndarray) -> DatasetFiles:
    paths = {name: folder / f"{name}.npy" for name in arrays}
    for name, array in arrays.items():
        np.save(paths[name], array)
    return DatasetFiles(kind="arrays", files={name: str(path) for name, path in paths.items()})


def make_job(directory: Path, dataset: DatasetFiles, **fields: Any) -> FitJob:
    """The tutorial's model on the digits, unless said otherwise."""
    directory.mkdir(parents=True, exist_ok=True)
    defaults: dict[str, Any] = {
        "run_id": f"run_{time.monotonic_ns()}",
        "attempt": 1,
        "definition": {"layers": TUTORIAL_LAYERS},
        "compile": {"optimizer": {"type": "Adam"}, "loss": {"type": "BinaryCrossentropy"}, "metrics": [{"type": "accuracy"}]},
        "fit": {"epochs": 3},
        "features": {},
        "target": "digit",
        "seed": 7,
        "publish": True,
        "max_parameters": 1_000_000,
    }
    return FitJob(directory=str(directory), dataset=dataset, **(defaults | fields))
