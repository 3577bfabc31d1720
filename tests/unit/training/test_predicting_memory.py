"""Batch predictions of data much larger than a block, in a trainer process whose memory is watched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.infra.memory import resident_bytes
from service.spec.frames import DatasetFiles, Finished
from tests.unit.training.conftest import TrainerProcess
from tests.unit.training.test_memory import COLUMNS, MEGABYTE, store_large_arrays, store_large_table
from tests.unit.training.test_predicting import fitted, predict_job

FEW, MANY = 200_000, 1_600_000
"""22 and 180 MB of encoded rows, of which a block has 0.1 MB."""
MOST_GROWTH_BYTES = 48 * MEGABYTE
LAYERS = [{"type": "Dense", "units": 4}, {"type": "Dense", "units": 1}]
STORES = {"arrays": (store_large_arrays, "x"), "table": (store_large_table, "text_0")}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[TrainerProcess]:
    """A trainer whose memory no other test has stretched."""
    trainer = TrainerProcess(tmp_path / "trainer.log")
    trainer.await_ready()
    yield trainer
    trainer.close()


def stored(folder: Path, kind: str, rows: int) -> DatasetFiles:
    folder.mkdir()
    return DatasetFiles(kind=kind, files=STORES[kind][0](folder, rows))


def highest_memory(trainer: TrainerProcess, fit: Path, dataset: DatasetFiles, name: str, form: str) -> int:
    """Bytes without mapped files, at every report of a prediction."""
    trainer.send(predict_job(fit, dataset, name, columns=[STORES[dataset.kind][1]], format=form))
    highest = 0
    while not isinstance(frame := trainer.receive(), Finished):
        highest = max(highest, resident_bytes(trainer.process.pid))
    assert (fit.parent / name / f"predictions.{form}").stat().st_size > 0, frame
    return highest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process by its kinds")
@pytest.mark.parametrize("kind", ["arrays", "table"])
def test_memory_does_not_grow_with_the_rows(fresh, tmp_path, kind):
    few, many = stored(tmp_path / "few", kind, FEW), stored(tmp_path / "many", kind, MANY)
    fit = fitted(fresh, tmp_path, few, LAYERS, "MeanSquaredError", target="y", fit={"epochs": 1, "batch_size": 4096})
    for form in ("parquet", "csv"):
        of_few = highest_memory(fresh, fit, few, f"few-{form}", form)
        of_many = highest_memory(fresh, fit, many, f"many-{form}", form)
        assert of_many - of_few < MOST_GROWTH_BYTES < MANY * COLUMNS * 4, (of_few, of_many)
