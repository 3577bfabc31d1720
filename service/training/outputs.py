"""The files that a fit leaves, and what is in them."""

import shutil
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from service.spec.frames import EpochEnded, OutputFile
from service.spec.weights import WEIGHTS, WEIGHTS_MEDIA_TYPE
from service.training.examples import TRAINING, VALIDATION, Examples
from service.training.fitting import Fitted
from service.training.snapshots import Origin, write
from service.training.weights import write_weights

MODEL, GRAPH, PLAN, HISTORY, EVALUATION = "model.keras", "model.onnx", "plan.json", "history.json", "evaluation.json"
ENCODED, STATE, BEST, TENSORBOARD = "encoded.npz", "state.npz", "best.keras", "tensorboard"
MEDIA_TYPES = {
    MODEL: "application/vnd.keras",
    WEIGHTS: WEIGHTS_MEDIA_TYPE,
    GRAPH: "application/onnx",
    PLAN: "application/json",
    HISTORY: "application/json",
    EVALUATION: "application/json",
    ENCODED: "application/zip",
    STATE: "application/zip",
    BEST: "application/vnd.keras",
    f"{TENSORBOARD}.zip": "application/zip",
}


def save(model: keras.Model, directory: Path) -> None:
    """Save the model itself."""
    model.save(directory / MODEL)
    write_weights(model, directory / WEIGHTS)


def save_for_others(model: keras.Model, directory: Path, examples: Examples, fitted: Fitted, origin: Origin) -> None:
    """Save what another run, a plain script or a person at TensorBoard goes on from."""
    arrays = {name: array for end, part in _parts(examples) for name, array in _named(end, part.arrays)}
    np.savez(directory / ENCODED, **arrays)
    if fitted.state is not None:
        write(directory / STATE, fitted.state, origin)
    if fitted.best is not None:
        _save_best(model, directory, fitted)
    if (directory / TENSORBOARD).exists():
        shutil.make_archive(str(directory / TENSORBOARD), "zip", directory / TENSORBOARD)


def forget_weights(directory: Path) -> None:
    """Remove every file that shows what was learnt."""
    for name in (MODEL, WEIGHTS, GRAPH, BEST, STATE, EVALUATION, ENCODED):
        (directory / name).unlink(missing_ok=True)


def history(epochs: list[EpochEnded]) -> dict[str, Any]:
    """Columns, as Keras's ``History`` has them; null where a metric was no number."""
    names = dict.fromkeys(name for epoch in epochs for name in epoch.metrics)
    columns = {name: [epoch.metrics.get(name) for epoch in epochs] for name in names}
    return {"epoch": [epoch.epoch for epoch in epochs], "metrics": columns}


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write JSON data."""
    path.write_bytes(msgspec.json.encode(document))


def files(directory: Path) -> list[OutputFile]:
    """The files that are there."""
    return [
        OutputFile(name=name, path=str(directory / name), media_type=media_type)
        for name, media_type in MEDIA_TYPES.items()
        if (directory / name).exists()
    ]


def _parts(examples: Examples) -> list[tuple[str, Any]]:
    validation = [(VALIDATION, examples.validation)] if examples.validation is not None else []
    return [(TRAINING, examples.train), *validation]


def _named(end: str, arrays: tuple[Any, ...]) -> list[tuple[str, Any]]:
    return [(f"{name}{end}", array) for name, array in zip(("x", "y", "sample_weight"), arrays, strict=False)]


def _save_best(model: keras.Model, directory: Path, fitted: Fitted) -> None:
    assert fitted.best is not None
    last = model.get_weights()
    if fitted.best.best_weights is not None:
        model.set_weights(fitted.best.best_weights)
        model.save(directory / BEST)
        model.set_weights(last)
