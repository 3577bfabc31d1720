"""Writes what a model has learnt, weight by weight, so that it can be read without Keras."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from service.spec.weights import DOCUMENT, LayerSummary, WeightSummary, entry_name

Array = np.ndarray[Any, Any]

BLOCK_VALUES = 131_072
"""Values that are turned into float64 at a time: as many as a processor's cache holds."""

STATISTICS = ("min", "max", "mean", "std")


def write_weights(model: keras.Model, path: Path) -> None:
    """Write every weight of every layer to ``path`` (``spec.weights`` tells the form), one at a time. Raises OSError.

    Equal weights give equal bytes. Seeds of random layers are no weights, and are left out.
    """
    with zipfile.ZipFile(path, "w") as archive:
        layers = [
            LayerSummary(name=layer.name, type=type(layer).__name__, weights=list(_write_layer(archive, layer)))
            for layer in model.layers
            if not isinstance(layer, keras.layers.InputLayer)
        ]
        _write_entry(archive, DOCUMENT, np.frombuffer(msgspec.json.encode(layers), np.uint8))


def _write_layer(archive: zipfile.ZipFile, layer: keras.layers.Layer) -> Iterator[WeightSummary]:
    for name, variable in _named_weights(layer).items():
        values = _storable(variable.numpy())
        _write_entry(archive, entry_name(layer.name, name), values)
        yield WeightSummary(name=name, shape=list(values.shape), dtype=variable.dtype, count=values.size, **_statistics(values))


def _named_weights(layer: keras.layers.Layer) -> dict[str, Any]:
    """The variables by their path below the layer; those that Keras names alike get a number."""
    named: dict[str, Any] = {}
    for variable in layer.weights:
        name = path = variable.path.removeprefix(f"{layer.path}/")
        number = 0
        while name in named:
            number += 1
            name = f"{path}_{number}"
        named[name] = variable
    return named


def _storable(values: Array) -> Array:
    """NumPy stores types that it does not know itself, such as bfloat16, as mere bytes; each fits into float32."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def _write_entry(archive: zipfile.ZipFile, name: str, values: Array) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:  # dated 1980 whenever it is written
        np.lib.format.write_array(entry, values, allow_pickle=False)


def _statistics(values: Array) -> dict[str, float | None]:
    """Smallest, largest, mean and standard deviation, in float64."""
    if not values.size:
        return dict.fromkeys(STATISTICS)
    smallest, largest = float(values.min()), float(values.max())
    if not (math.isfinite(smallest) and math.isfinite(largest)):
        return dict.fromkeys(STATISTICS)
    mean = sum(float(block.sum()) for block in _blocks(values)) / values.size
    squares = sum(float(np.square(block - mean).sum()) for block in _blocks(values))
    return dict(zip(STATISTICS, (smallest, largest, mean, math.sqrt(squares / values.size)), strict=True))


def _blocks(values: Array) -> Iterator[Array]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, BLOCK_VALUES):
        yield flat[start : start + BLOCK_VALUES].astype(np.float64)
