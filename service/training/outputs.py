"""The files that a fit leaves, and what is in them."""

import shutil
import zipfile
from pathlib import Path
from typing import IO, Any

import keras
import msgspec

from service.infra.npy import release_pages, write_header, write_rows
from service.spec.artifacts import (
    BEST,
    ENCODED,
    EVALUATION,
    GRAPH,
    MEDIA_TYPES,
    MODEL,
    STATE,
    TENSORBOARD,
    WEIGHTS,
)
from service.spec.frames import EpochEnded, OutputFile
from service.training.examples import TRAINING, VALIDATION, Array, Examples, array_names
from service.training.fitting import Fitted
from service.training.keras_callbacks import Best
from service.training.snapshots import Origin, write
from service.training.weights import write_weights

LOGS = "tensorboard"
"""Folder that the logs for TensorBoard are written into."""
BLOCK_BYTES = 4 * 1024 * 1024
"""Encoded rows that are copied at a time."""


def save(model: keras.Model, directory: Path) -> None:
    """Save the model itself."""
    model.save(directory / MODEL)
    write_weights(model, directory / WEIGHTS)


def save_for_others(model: keras.Model, directory: Path, examples: Examples, fitted: Fitted, origin: Origin) -> None:
    """Save what another run, a plain script or a person at TensorBoard goes on from."""
    _write_encoded(directory / ENCODED, examples)
    if fitted.state is not None:
        write(directory / STATE, fitted.state, origin)
    if fitted.best is not None:
        _save_best(model, directory / BEST, fitted.best)
    if (directory / LOGS).exists():
        shutil.make_archive(str((directory / TENSORBOARD).with_suffix("")), "zip", directory / LOGS)


def forget_weights(directory: Path) -> None:
    """Remove every file that shows what was learnt."""
    for name in (MODEL, WEIGHTS, GRAPH, BEST, STATE, EVALUATION, ENCODED, TENSORBOARD):
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


def _write_encoded(path: Path, examples: Examples) -> None:
    """As ``np.savez``, but with a block of mapped rows in memory at a time, and always the same bytes."""
    names = array_names(examples.plan)
    with zipfile.ZipFile(path, "w") as archive:
        for end, part in ((TRAINING, examples.train), (VALIDATION, examples.validation)):
            for name, array in zip(names, part.arrays if part is not None else (), strict=False):
                with archive.open(f"{name}{end}.npy", "w", force_zip64=True) as entry:
                    _write_array(entry, array)


def _write_array(entry: IO[bytes], array: Array) -> None:
    write_header(entry, array.shape, array.dtype)
    rows = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        write_rows(entry, array[start : start + rows])
        release_pages([array])


def _save_best(model: keras.Model, path: Path, best: Best) -> None:
    last = model.get_weights()
    if best.best_weights is not None:
        model.set_weights(best.best_weights)
        model.save(path)
        model.set_weights(last)
