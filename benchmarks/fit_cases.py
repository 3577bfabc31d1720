"""The fits that are measured: their models as a client writes them, and their data."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.infra.npy import write_header

Array = np.ndarray[Any, Any]
Layers = list[dict[str, Any]]

BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class Case:
    """One model on random rows: float32 inputs of ``row_shape``, and a class per row that a model can learn."""

    name: str
    title: str
    details: str
    layers: Layers
    loss: str
    rows: int
    row_shape: tuple[int, ...]
    epochs: int
    batch_size: int
    classes: int = 2
    goal: float | None = None
    """How many times faster than a bare ``fit`` it shall be."""

    @property
    def samples(self) -> int:
        """Rows of all epochs."""
        return self.rows * self.epochs

    @property
    def definition(self) -> dict[str, Any]:
        return {"layers": self.layers}

    @property
    def compile(self) -> dict[str, Any]:
        return {"optimizer": "adam", "loss": self.loss}

    @property
    def fit(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "batch_size": self.batch_size}

    def write_data(self, folder: Path) -> None:
        """Write ``x.npy`` and ``y.npy`` (rows, 1) into a new folder, with no more than a block in memory."""
        folder.mkdir()
        y_dtype = np.dtype("float32" if self.classes == 2 else "int64")
        with (folder / "x.npy").open("wb") as x_file, (folder / "y.npy").open("wb") as y_file:
            write_header(x_file, (self.rows, *self.row_shape), np.dtype("float32"))
            write_header(y_file, (self.rows, 1), y_dtype)
            for x in self._blocks():
                x.tofile(x_file)
                self._classes_of(x).astype(y_dtype).tofile(y_file)
            for file in (x_file, y_file):
                os.fsync(file.fileno())  # otherwise the disk would still be writing while the fit reads

    def _blocks(self) -> Iterator[Array]:
        random = np.random.default_rng(1)
        for start in range(0, self.rows, BLOCK_ROWS):
            yield random.standard_normal((min(BLOCK_ROWS, self.rows - start), *self.row_shape), dtype=np.float32)

    def _classes_of(self, x: Array) -> Array:
        """Where the product of a row's first two numbers lies: no straight line tells the classes apart."""
        numbers = x.reshape(len(x), -1)
        product = numbers[:, 0] * numbers[:, 1]
        places: Array = np.floor(self.classes * (0.5 + np.arctan(product) / np.pi))
        return places


def dense(*sizes_and_activations: tuple[int, str]) -> Layers:
    """Dense layers named as in the tutorial."""
    return [
        {"type": "Dense", "units": units, "activation": activation, "name": f"layer{number}"}
        for number, (units, activation) in enumerate(sizes_and_activations, start=1)
    ]


WIDE = dense((128, "relu"), (64, "relu"), (1, "sigmoid"))
CONVOLUTIONS: Layers = [
    {"type": "Conv2D", "filters": 8, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 10, "activation": "softmax"},
]
TUTORIAL = Case(
    name="tutorial",
    title="Tutorial's model",
    details="Dense 25-15-1, 1000 × 2 rows, batch 32, 20 epochs",
    layers=dense((25, "sigmoid"), (15, "sigmoid"), (1, "sigmoid")),
    loss="BinaryCrossentropy",
    rows=1000,
    row_shape=(2,),
    epochs=20,
    batch_size=32,
    goal=5.0,
)
LARGE = Case(
    name="large",
    title="Large table",
    details="Dense 128-64-1, 200,000 × 28 rows, batch 256, 5 epochs",
    layers=WIDE,
    loss="BinaryCrossentropy",
    rows=200_000,
    row_shape=(28,),
    epochs=5,
    batch_size=256,
    goal=2.0,
)
CNN = Case(
    name="cnn",
    title="Small CNN",
    details="Conv2D 8-16, 20,000 images of 28 × 28, batch 64, 2 epochs",
    layers=CONVOLUTIONS,
    loss="SparseCategoricalCrossentropy",
    rows=20_000,
    row_shape=(28, 28, 1),
    epochs=2,
    batch_size=64,
    classes=10,
    goal=1.0,
)


def table_of(rows: int) -> Case:
    """The large table's model for one epoch on any number of rows."""
    details = f"Dense 128-64-1, {rows:,} × 28 rows, batch 1024, 1 epoch"
    return Case(f"rows_{rows}", f"{rows:,} rows", details, WIDE, "BinaryCrossentropy", rows, (28,), epochs=1, batch_size=1024)
