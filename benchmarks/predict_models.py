"""The models that answer in the benchmark of predictions: fitted once by the service, as a user would, and kept.

Two kinds of five models each, on arrays of float32: the tutorial's small one, and a wide one as for images of digits.
"""

import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from first_epoch import call, fitserve
from fit_cases import Array, Layers, dense

from service.infra.migrations import head_revision

WAIT_SECONDS = 60
TRAINING_ROWS = 256
COPIES = 5
FORMATS = ("onnx", "keras")


@dataclass(frozen=True)
class Kind:
    """One architecture; ``classes`` as in the labels that it is fitted on, ``columns`` per row."""

    name: str
    title: str
    layers: Layers
    loss: str
    columns: int
    classes: int

    @property
    def models(self) -> list[str]:
        """The names of its models; the first one is measured."""
        return [self.name, *(f"{self.name}_{number}" for number in range(2, COPIES + 1))]

    def rows(self, count: int) -> Array:
        """Random rows (count, columns) of float32, always the same ones."""
        return np.random.default_rng(1).standard_normal((count, self.columns), dtype=np.float32)

    def training_data(self) -> bytes:
        """An NPZ of random rows ``x`` and labels ``y`` (rows, 1)."""
        labels = np.random.default_rng(2).integers(0, self.classes, (TRAINING_ROWS, 1))
        file = io.BytesIO()
        np.savez(file, x=self.rows(TRAINING_ROWS), y=labels.astype("float32" if self.classes == 2 else "int64"))
        return file.getvalue()


SMALL = Kind(
    name="small",
    title="2-25-15-1",
    layers=dense((25, "sigmoid"), (15, "sigmoid"), (1, "sigmoid")),
    loss="BinaryCrossentropy",
    columns=2,
    classes=2,
)
WIDE = Kind(
    name="wide",
    title="784-512-512-10",
    layers=dense((512, "relu"), (512, "relu"), (10, "softmax")),
    loss="SparseCategoricalCrossentropy",
    columns=784,
    classes=10,
)
KINDS = (SMALL, WIDE)


def kept_models() -> Path:
    """The folder with the service's ``data`` and the measured models' files; made where it is missing or incomplete.

    Its name has the schema's revision: another checkout does not find a database that it cannot read.
    """
    folder = Path(tempfile.gettempdir(), f"fitserve-bench-predict-{head_revision()}")
    mark = folder / "complete"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _make(folder)
        mark.touch()
    return folder


def file_of(folder: Path, kind: Kind, file_format: str) -> Path:
    """Where the kept file of a kind's first model is."""
    return folder / f"{kind.name}.{file_format}"


def _make(folder: Path) -> None:
    with (
        fitserve("up", str(folder)) as (_, url),
        httpx.Client(base_url=url, timeout=WAIT_SECONDS + 30, trust_env=False) as client,
    ):
        for kind in KINDS:
            files = {"file": (f"{kind.name}.npz", kind.training_data())}
            dataset = call(client, "POST", "/api/datasets", files=files, data={"name": kind.name, "target": "y"})["id"]
            runs = [_fit(client, kind, model, dataset) for model in kind.models]
            for file_format in FORMATS:
                artifact = client.get(f"/api/runs/{runs[0]}/artifacts/model.{file_format}").raise_for_status()
                file_of(folder, kind, file_format).write_bytes(artifact.content)


def _fit(client: httpx.Client, kind: Kind, model: str, dataset: str) -> str:
    """Create a model, fit it for one epoch and publish it; the id of the run."""
    compiled = {"optimizer": "adam", "loss": kind.loss}
    call(client, "POST", "/api/models", json={"name": model, "definition": {"layers": kind.layers}, "compile": compiled})
    run = call(client, "POST", "/api/runs", json={"model": model, "dataset": dataset, "fit": {"epochs": 1}, "seed": 1})
    while run["state"] in ("queued", "running"):
        run = call(client, "GET", f"/api/runs/{run['id']}", headers={"Prefer": f"wait={WAIT_SECONDS}"})
    _require_version(run)
    return str(run["id"])


def _require_version(run: dict[str, Any]) -> None:
    if run["version"] is None:
        raise RuntimeError(f"The run has published nothing. State: {run['state']}, {run['failure'] or run['publish']}")
