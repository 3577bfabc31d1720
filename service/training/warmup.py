"""One tiny job from end to end, so that the first real one finds everything loaded."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from service.spec.frames import DatasetFiles, FitJob
from service.training.job import fit
from service.training.wishes import Wishes

ROWS = 8


def warm_up() -> None:
    """Fit, save, export and check a model of two weights in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fitserve-warm-up-") as folder:
        path = Path(folder) / "table.parquet"
        table = pa.table({"x": [float(row) for row in range(ROWS)], "y": [row % 2 for row in range(ROWS)]})
        pyarrow.parquet.write_table(table, path)
        fit(_job(folder, path), report=lambda frame: None, wishes=Wishes())


def _job(folder: str, table: Path) -> FitJob:
    return FitJob(
        run_id="warm-up",
        attempt=1,
        directory=folder,
        definition={"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}]},
        compile={
            "optimizer": {"type": "Adam"},
            "loss": {"type": "BinaryCrossentropy"},
            "metrics": [{"type": "accuracy"}],
        },
        fit={"epochs": 1, "batch_size": 2, "validation_split": 0.25},
        features={},
        dataset=DatasetFiles(kind="table", files={"table": str(table)}),
        target="y",
        seed=0,
        publish=True,
        max_parameters=1000,
    )
