"""Makes encoded examples of a stored dataset, as mapped files: plans, splits, encodes block by block."""

from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from msgspec.structs import replace

from service.errors import InvalidInput, Problem
from service.features.fitting import FittedPlan, fit_array_plan, fit_table_plan, plan_target, raw_target
from service.features.plan import ExcludedColumn, FeaturePlan, Target
from service.features.roles import Kind, Roles, assign_roles, names_in
from service.infra.npy import write_header, write_rows
from service.spec.artifacts import numbered
from service.spec.compile import LossBase
from service.spec.features import FeaturesSpec, TargetSpec
from service.spec.fit import FitSpec
from service.training.encoder import VALIDATION_DATASET, Block, Encoder
from service.training.reading import Dataset, Without
from service.training.splitting import split
from service.training.structure import one_or_list
from service.training.weighing import class_places, class_weights, describe

Array = np.ndarray[Any, Any]

EXAMPLE_ROWS = 2
ABOUT = "about.json"
TRAINING, VALIDATION = "", "_val"
"""Ends of the names of arrays: ``x`` and ``x_val``."""
SAMPLE_WEIGHT = "sample_weight"
"""Name of the array of weights."""


@dataclass(frozen=True)
class Part:
    """Encoded rows to learn from, or to measure with; the arrays may be mapped files."""

    inputs: tuple[Array, ...]
    """``(rows, …)`` of each input."""
    targets: tuple[Array, ...]
    """``(rows, …)`` of each output's truth."""
    sample_weight: Array | None = None
    """How much each row counts, ``(rows,)`` of float32."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.inputs[0])

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All of them: inputs, targets, and weights where there are some."""
        return (*self.inputs, *self.targets, *(() if self.sample_weight is None else (self.sample_weight,)))

    def as_keras_takes(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """``(x, y)`` or ``(x, y, sample_weight)`` of what stands for ``arrays``; several inputs or targets as a list."""
        inputs, outputs = len(self.inputs), len(self.targets)
        x, y = arrays[:inputs], arrays[inputs : inputs + outputs]
        return (one_or_list(x), one_or_list(y), *arrays[inputs + outputs :])

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shape of one row of each input."""
        return [array.shape[1:] for array in self.inputs]

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return sum(array[:1].nbytes for array in self.arrays)

    @property
    def size_bytes(self) -> int:
        """Size of all rows in bytes."""
        return self.rows * self.row_bytes


def array_names(plan: FeaturePlan) -> list[str]:
    """The names of a part's arrays in files; that of the weights is there whether there are any or not."""
    return [*numbered("x", len(plan.inputs)), *numbered("y", len(plan.targets)), SAMPLE_WEIGHT]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of encoded examples beside their numbers."""

    plan: FeaturePlan
    chosen: dict[str, str]
    """What becomes of each column or array, in a few plain words."""
    warnings: list[str]
    raw: list[Any]
    """A few raw training rows as a client would send them."""
    sizes: dict[str, int] = {}
    """Size in bytes of each file beside this document, by which a damaged folder is known."""


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
    def parts(self) -> list[Part]:
        """The rows to learn from, and those to measure with where there are some."""
        return [self.train] if self.validation is None else [self.train, self.validation]

    @property
    def targets(self) -> list[Target]:
        """What each output of the model learns to predict."""
        return self.plan.targets


@dataclass(frozen=True)
class Wanted:
    """What a run asks of its data."""

    features: FeaturesSpec
    target: TargetSpec | None
    inputs: Sequence[str]
    """Names of the model's inputs."""
    losses: Mapping[str, LossBase]
    """The loss of each output of the model, by its name."""
    fit: FitSpec
    seed: int

    def roles(self, dataset: Dataset) -> Roles:
        """Which columns or arrays go where. Raises InvalidInput."""
        names = [name for name in dataset.columns if name != self.fit.sample_weight]
        kind: Kind = "table" if dataset.kind == "table" else "arrays"
        return assign_roles(kind, names, self.inputs, list(self.losses), self.target, self.features.inputs)


def encode(dataset: Dataset, validation: Dataset | None, wanted: Wanted, folder: Path) -> Examples:
    """Fit the plan on the training rows, and write all rows as it encodes them into a folder. Raises InvalidInput."""
    _check_sample_weight(dataset, wanted)
    roles = wanted.roles(dataset)
    is_validation = split(wanted.fit, _classes_to_split_by(dataset, wanted, roles), dataset.rows, wanted.seed)
    plan, chosen, warnings = _fit_plan(dataset, wanted, roles, ~is_validation)
    encoder = Encoder(plan, wanted.fit.sample_weight)
    names = array_names(plan)
    with _Files(folder, names) as files:
        raw = _write(encoder, dataset, is_validation, files)
        if validation is not None:
            for block in encoder.encode(validation, VALIDATION_DATASET):
                files.append(VALIDATION, validation.rows, block.arrays)
    if wanted.fit.class_weight is not None:
        (target,) = plan.targets  # which the acceptance of the run has seen to
        weighed = _write_class_weights(folder, target, wanted.fit.class_weight)
        chosen |= {name: chosen[name] + weighed for name in target.columns}
    if encoder.rounds_integers:
        warnings.append("An input array holds integers beyond 16,777,216, which float32 rounds.")
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.npy")}
    about = About(plan=plan, chosen=chosen, warnings=warnings, raw=raw, sizes=sizes)
    (folder / ABOUT).write_bytes(msgspec.json.encode(about))
    return open_examples(folder)


def encode_rows_of(dataset: Dataset, plan: FeaturePlan, sample_weight: str | None, folder: Path) -> Part:
    """Write all rows of another dataset as the plan of a fit encodes them. Raises InvalidInput."""
    with _Files(folder, array_names(plan)) as files:
        for block in Encoder(plan, sample_weight).encode(dataset):
            files.append(TRAINING, dataset.rows, block.arrays)
    part = _open_part(folder, plan, TRAINING, [path.name for path in folder.glob("*.npy")])
    assert part is not None, "a dataset has rows"
    return part


def open_examples(folder: Path) -> Examples:
    """Examples that were written before. Raises OSError, ValueError or msgspec.DecodeError where they are not whole."""
    about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
    if any((folder / name).stat().st_size != size for name, size in about.sizes.items()):
        raise ValueError(f"A file in {folder} is not whole.")
    train = _open_part(folder, about.plan, TRAINING, about.sizes)
    assert train is not None, "there is something to train on"
    return Examples(train, _open_part(folder, about.plan, VALIDATION, about.sizes), about)


def _open_part(folder: Path, plan: FeaturePlan, end: str, written: Container[str]) -> Part | None:
    """The part, by the names of the files that were written: one that another process removes meanwhile is an error."""
    names = [f"{name}{end}.npy" for name in array_names(plan)]
    if names[0] not in written:
        return None
    arrays = [np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names if name in written]
    inputs, outputs = len(plan.inputs), len(plan.targets)
    return Part(tuple(arrays[:inputs]), tuple(arrays[inputs : inputs + outputs]), *arrays[inputs + outputs :])


def _check_sample_weight(dataset: Dataset, wanted: Wanted) -> None:
    name = wanted.fit.sample_weight
    if name is None:
        return
    noun = "column" if dataset.kind == "table" else "array"
    if name in names_in(wanted.target):
        message, fix = f"'{name[:80]}' is the target, so it cannot weigh the rows.", f"Choose another {noun}."
    elif name not in dataset.columns:
        message, fix = f"The dataset has no {noun} '{name[:80]}' to weigh the rows by.", f"Name one of its {noun}s."
    else:
        return
    raise InvalidInput(f"{message} {fix}", [Problem("/fit/sample_weight", message, name[:80], fix=fix)])


def _classes_to_split_by(dataset: Dataset, wanted: Wanted, roles: Roles) -> Array | None:
    """The class ``(rows,)`` of each row, where the split asks for it and there are classes of a single target."""
    if wanted.fit.split != "stratified" or not wanted.fit.validation_split:
        return None
    if len(roles.targets) > 1:
        message = "A stratified split keeps the classes of one target in proportion, and the model has several outputs."
        fix = "Use split 'random' or 'last'."
        raise InvalidInput(f"{message} {fix}", [Problem("/fit/split", message, "stratified", fix=fix)])
    ((output, names),) = roles.targets.items()
    if not wanted.losses[output].is_classification:
        return None
    values = raw_target(dataset.columns, names)
    plan_target(output, names, values, wanted.losses[output])  # refuses what is no class
    return values.argmax(axis=1) if values.ndim == 2 and values.shape[1] > 1 else values.reshape(-1)


def _fit_plan(dataset: Dataset, wanted: Wanted, roles: Roles, is_training: Array) -> FittedPlan:
    columns, weight = dataset.columns, wanted.fit.sample_weight
    others = columns if weight is None else Without(columns, weight)
    if dataset.kind == "table":
        fitted = fit_table_plan(others, wanted.features, roles, wanted.losses, is_training)
    else:
        fitted = fit_array_plan(others, wanted.features, roles, wanted.losses, is_training)
    if weight is None:
        return fitted
    chosen = fitted.chosen | {weight: "weight of the row"}
    if dataset.kind != "table":
        return fitted._replace(chosen=chosen)
    unused = [*fitted.plan.unused, ExcludedColumn(column=weight, reason="it is the weight of the row")]
    return fitted._replace(plan=replace(fitted.plan, unused=unused), chosen=chosen)


def _write(encoder: Encoder, dataset: Dataset, is_validation: Array, files: "_Files") -> list[Any]:
    """Write both parts of a dataset, and give a few raw training rows."""
    kept_out = int(np.count_nonzero(is_validation))
    counts = {TRAINING: len(is_validation) - kept_out, VALIDATION: kept_out}
    raw: list[Any] = []
    for block in encoder.encode(dataset):
        for end, chosen in _parts_of(block, is_validation):
            if end == TRAINING and not raw:
                raw = encoder.raw_rows(block.raw, np.flatnonzero(chosen)[:EXAMPLE_ROWS])
            arrays = block.arrays if chosen.all() else tuple(array[chosen] for array in block.arrays)
            files.append(end, counts[end], arrays)
    return raw


def _parts_of(block: Block, is_validation: Array) -> list[tuple[str, Array]]:
    """The ends of the names of the arrays that a block has rows for, and which rows."""
    kept_out = is_validation[block.start : block.start + len(block.arrays[0])]
    return [(end, chosen) for end, chosen in ((TRAINING, ~kept_out), (VALIDATION, kept_out)) if chosen.any()]


def _write_class_weights(folder: Path, target: Target, class_weight: Any) -> str:
    """Give every training row the weight of its class, and say so in a few words."""
    y = np.load(folder / "y.npy", mmap_mode="r", allow_pickle=False)
    weights = class_weights(target, y, class_weight)
    with _Files(folder, []) as files:
        for places in class_places(target, y):
            files.append_to(SAMPLE_WEIGHT, len(y), weights.astype(np.float32)[places])
    return f"; weights {describe(target, weights)[:300]}"


class _Files:
    """Arrays that grow as ``.npy`` files, a block at a time; nothing but the block is held in memory."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self._open: dict[str, BinaryIO] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, end: str, rows: int, block: tuple[Array, ...]) -> None:
        """Add a block to the arrays whose names end so, which will have so many rows altogether."""
        for name, array in zip(self._names, block, strict=False):
            self.append_to(name + end, rows, array)

    def append_to(self, name: str, rows: int, array: Array) -> None:
        """Add rows to one array, which will have so many altogether. Raises OSError."""
        file = self._open.get(name) or self._begin(name, (rows, *array.shape[1:]), array.dtype)
        write_rows(file, array)

    def _begin(self, name: str, shape: tuple[int, ...], dtype: Any) -> BinaryIO:
        file = self._stack.enter_context((self._folder / f"{name}.npy").open("wb"))
        write_header(file, shape, dtype)
        self._open[name] = file
        return file
