"""Makes encoded examples of a stored dataset, as mapped files: plans, splits, encodes block by block."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.answers import label_text
from service.features.encoding import encode_array, encode_columns, encode_target, used_columns
from service.features.fitting import FittedPlan, fit_array_plan, fit_table_plan
from service.features.plan import FeaturePlan, TableInput, Target
from service.spec.compile import LossBase
from service.spec.features import ExcludedFeature, FeaturesSpec
from service.spec.fit import FitSpec
from service.training.reading import Dataset
from service.training.splitting import split

Array = np.ndarray[Any, Any]

EXAMPLE_ROWS = 2
ABOUT = "about.json"
TRAINING, VALIDATION = "", "_val"
"""Ends of the names of arrays: ``x`` and ``x_val``."""
NAMES = ("x", "y", "sample_weight")


@dataclass(frozen=True)
class Part:
    """Encoded rows to learn from, or to measure with; the arrays may be mapped files."""

    x: Array
    y: Array
    sample_weight: Array | None = None
    """How much each row counts, ``(rows,)`` of float32."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """What Keras takes: ``(x, y)`` or ``(x, y, sample_weight)``."""
        return (self.x, self.y) if self.sample_weight is None else (self.x, self.y, self.sample_weight)

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return sum(array[:1].nbytes for array in self.arrays)

    @property
    def size_bytes(self) -> int:
        """Size of all rows in bytes."""
        return self.rows * self.row_bytes


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of encoded examples beside their numbers."""

    plan: FeaturePlan
    chosen: dict[str, str]
    """What becomes of each column or array, in a few plain words."""
    warnings: list[str]
    raw: list[Any]
    """A few raw training rows as a client would send them."""


@dataclass(frozen=True)
class Examples:
    """Encoded rows with the plan that they were encoded by."""

    train: Part
    validation: Part | None
    about: About

    @property
    def plan(self) -> FeaturePlan:
        """What turns raw rows into tensors."""
        return self.about.plan

    @property
    def target(self) -> Target:
        """What the model learns to predict."""
        assert self.plan.target is not None, "a fitted plan has a target"
        return self.plan.target


@dataclass(frozen=True)
class Wanted:
    """What a run asks of its data."""

    features: FeaturesSpec
    target: str | None
    loss: LossBase
    fit: FitSpec
    seed: int


def encode(dataset: Dataset, validation: Dataset | None, wanted: Wanted, folder: Path) -> Examples:
    """Fit the plan on the training rows, and write all rows as it encodes them into a folder. Raises InvalidInput."""
    is_validation = split(wanted.fit, _classes_to_split_by(dataset, wanted), dataset.rows, wanted.seed)
    plan, chosen, warnings = _fit_plan(dataset, wanted, ~is_validation)
    encoder = Encoder(plan, wanted.fit.sample_weight)
    raw: list[Any] = []
    counts = {TRAINING: int((~is_validation).sum()), VALIDATION: int(is_validation.sum())}
    with _Files(folder) as files:
        for start, columns, block in encoder.encode(dataset):
            kept_out = is_validation[start : start + len(block[0])]
            raw = raw or encoder.raw_rows(columns, np.flatnonzero(~kept_out)[:EXAMPLE_ROWS])
            for end, chosen_rows in ((TRAINING, ~kept_out), (VALIDATION, kept_out)):
                files.append(end, counts[end], tuple(array[chosen_rows] for array in block))
        if validation is not None:
            for _, _, block in encoder.encode(validation):
                files.append(VALIDATION, validation.rows, block)
    if wanted.fit.class_weight is not None:
        _write_class_weights(folder, plan.target, wanted.fit.class_weight, chosen)
    about = About(plan=plan, chosen=chosen, warnings=warnings, raw=raw)
    (folder / ABOUT).write_bytes(msgspec.json.encode(about))
    return open_examples(folder)


def encode_rows_of(dataset: Dataset, plan: FeaturePlan, sample_weight: str | None, folder: Path) -> Part:
    """Write all rows of another dataset as the plan of a fit encodes them. Raises InvalidInput."""
    with _Files(folder) as files:
        for _, _, block in Encoder(plan, sample_weight).encode(dataset):
            files.append(TRAINING, dataset.rows, block)
    part = _open_part(folder, TRAINING)
    assert part is not None, "a dataset has rows"
    return part


def open_examples(folder: Path) -> Examples:
    """Examples that were written before. Raises OSError, ValueError or msgspec.DecodeError where they are not whole."""
    about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
    train = _open_part(folder, TRAINING)
    if train is None:
        raise FileNotFoundError(f"There are no examples in {folder}.")
    return Examples(train, _open_part(folder, VALIDATION), about)


def _open_part(folder: Path, end: str) -> Part | None:
    paths = [folder / f"{name}{end}.npy" for name in NAMES]
    if not paths[0].exists():
        return None
    return Part(*(np.load(path, mmap_mode="r", allow_pickle=False) for path in paths if path.exists()))


def _classes_to_split_by(dataset: Dataset, wanted: Wanted) -> Array | None:
    is_named = wanted.target in dataset.columns
    if wanted.fit.split != "stratified" or not is_named or not wanted.loss.is_classification:
        return None
    return dataset.columns[wanted.target or ""]


def _fit_plan(dataset: Dataset, wanted: Wanted, is_training: Array) -> FittedPlan:
    features, weight = wanted.features, wanted.fit.sample_weight
    columns: Mapping[str, Array] = dataset.columns
    if weight is None:
        fit_plan = fit_table_plan if dataset.kind == "table" else fit_array_plan
        return fit_plan(columns, features, wanted.target, wanted.loss, is_training)
    if dataset.kind == "table":
        features = FeaturesSpec(columns={**features.columns, weight: ExcludedFeature()})
        fitted = fit_table_plan(columns, features, wanted.target, wanted.loss, is_training)
    else:
        others = {name: columns[name] for name in columns if name != weight}
        fitted = fit_array_plan(others, features, wanted.target, wanted.loss, is_training)
    fitted.chosen[weight] = "weight of the row"
    return fitted


class Encoder:
    """Encodes datasets of the same columns by one plan."""

    def __init__(self, plan: FeaturePlan, sample_weight: str | None) -> None:
        self._plan = plan
        self._sample_weight = sample_weight

    def encode(self, dataset: Dataset) -> Iterator[tuple[int, Mapping[str, Array], tuple[Array, ...]]]:
        """The number of its first row, the raw columns, and ``(x, y)`` or ``(x, y, sample_weight)`` of every block.

        Raises InvalidInput.
        """
        names = self._names(dataset)
        _check_columns(dataset, names)
        start = 0
        for columns in dataset.blocks(names):
            block = self._block(columns, start)
            yield start, columns, block
            start += len(block[0])

    def raw_rows(self, columns: Mapping[str, Array], rows: Array) -> list[Any]:
        """Some rows of a block as a client would send them."""
        if not isinstance(self._plan.input, TableInput):
            taken: list[Any] = np.asarray(next(iter(columns.values()))[rows]).reshape(-1, *self._plan.input.shape).tolist()
            return taken
        names = [column.column for column in used_columns(self._plan.input)]
        cells = {name: [_json_value(value) for value in columns[name][rows].tolist()] for name in names}
        return [{name: cells[name][row] for name in names} for row in range(len(rows))]

    def _names(self, dataset: Dataset) -> list[str]:
        target = self._target.name
        if isinstance(self._plan.input, TableInput):
            inputs = [column.column for column in used_columns(self._plan.input)]
        else:
            inputs = [name for name in dataset.columns if name not in (target, self._sample_weight)][:1]
        return [*inputs, target, *([self._sample_weight] if self._sample_weight else [])]

    def _block(self, columns: Mapping[str, Array], start: int) -> tuple[Array, ...]:
        y = _encode_target(self._target, columns[self._target.name], start)
        block = (self._input(columns), y)
        if self._sample_weight is None:
            return block
        return (*block, _weights(self._sample_weight, columns[self._sample_weight], start))

    def _input(self, columns: Mapping[str, Array]) -> Array:
        if isinstance(self._plan.input, TableInput):
            return encode_columns(self._plan.input, columns)
        return encode_array(self._plan.input, next(iter(columns.values())))

    @property
    def _target(self) -> Target:
        assert self._plan.target is not None, "a fitted plan has a target"
        return self._plan.target


def _check_columns(dataset: Dataset, names: list[str]) -> None:
    missing = [name for name in names if name not in dataset.columns]
    if missing:
        noun = "column" if dataset.kind == "table" else "array"
        message = f"The dataset has no {noun} '{missing[0][:80]}', which the model was fitted with."
        raise InvalidInput(message, [Problem("/dataset", message, fix="Choose a dataset of the same columns.")])


def _encode_target(target: Target, values: Array, start: int) -> Array:
    try:
        encoded = encode_target(target, values)
    except KeyError as error:
        message = f"Target '{target.name}' has the class {error.args[0]!r:.80}, which the training data does not have."
        fix = "Leave such rows out, or train with all the classes."
        raise InvalidInput(message, [Problem("/dataset", message, fix=fix)]) from error
    if encoded.dtype.kind == "f" and not np.isfinite(encoded).all():
        row = start + int(np.argwhere(~np.isfinite(encoded))[0][0])
        message = f"Target '{target.name}' has no finite number in row {row}."
        raise InvalidInput(message, [Problem("/dataset", message, fix="Remove such rows or fill them in.")])
    return encoded


def _weights(name: str, values: Array, start: int) -> Array:
    """Raises InvalidInput on anything but one number from 0 on per row."""
    is_usable = values.dtype.kind in "biuf" and values.size == len(values)
    weights = values.reshape(len(values)).astype(np.float32) if is_usable else np.full(len(values), np.nan, np.float32)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        row = start + int(wrong[0])
        message = f"Column '{name[:80]}' cannot weigh the rows: row {row} has no number from 0 on."
        fix = "Fill in every row with a number from 0 on."
        raise InvalidInput(
            message, [Problem("/fit/sample_weight", message, str(values[wrong[0]])[:80], "a number from 0 on", fix)]
        )
    return weights


def _write_class_weights(folder: Path, target: Target | None, class_weight: Any, chosen: dict[str, str]) -> None:
    """Give every training row the weight of its class, as Keras does with ``class_weight``."""
    assert target is not None, "a fitted plan has a target"
    weights = class_weights(target, np.load(folder / "y.npy", mmap_mode="r"), class_weight)
    places = _class_places(target, np.load(folder / "y.npy", mmap_mode="r"))
    np.save(folder / "sample_weight.npy", weights.astype(np.float32)[places])
    shown = ", ".join(f"{label_text(label)}: {weight:.4g}" for label, weight in zip(target.classes or [], weights, strict=True))
    chosen[target.name] += f"; weights {shown[:300]}"


def class_weights(target: Target, y: Array, class_weight: Any) -> Array:
    """The weight of each class of the target, in order; ``y`` is the encoded target of the training rows.

    ``balanced`` is ``rows / (classes * rows of the class)``, as in ``sklearn.utils.class_weight``. Raises InvalidInput.
    """
    names = [label_text(label) for label in target.classes or []]
    if not names:
        message = "class_weight needs a target with classes, and this one holds numbers."
        raise InvalidInput(message, [Problem("/fit/class_weight", message, fix="Use sample_weight with a column of weights.")])
    if class_weight == "balanced":
        counts = np.bincount(_class_places(target, y), minlength=len(names))
        return np.array(len(y) / (len(names) * np.maximum(counts, 1)))
    unknown = [name for name in class_weight if name not in names]
    if unknown:
        message = f"Target '{target.name}' has no class '{unknown[0][:80]}'."
        expected = f"some of: {', '.join(names[:20])}"
        raise InvalidInput(message, [Problem("/fit/class_weight", message, unknown[0][:80], expected)])
    return np.array([class_weight.get(name, 1.0) for name in names])


def _class_places(target: Target, y: Array) -> Array:
    return y.argmax(axis=1) if target.encoding == "one_hot" else np.asarray(y[:, 0], dtype=np.int64)


class _Files:
    """Arrays that grow as ``.npy`` files, a block at a time; nothing but the block is held in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, BinaryIO] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, end: str, rows: int, block: tuple[Array, ...]) -> None:
        """Add a block to the arrays whose names end so, which will have so many rows altogether."""
        if not rows:
            return
        for name, array in zip(NAMES, block, strict=False):
            file = self._open.get(name + end) or self._begin(name + end, (rows, *array.shape[1:]), array.dtype)
            np.ascontiguousarray(array).tofile(file)

    def _begin(self, name: str, shape: tuple[int, ...], dtype: Any) -> BinaryIO:
        file = self._stack.enter_context((self._folder / f"{name}.npy").open("wb"))
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        self._open[name] = file
        return file


def _json_value(value: Any) -> Any:
    """A missing number as null, and a whole one as it was before a missing neighbour made the column float."""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
