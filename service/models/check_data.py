"""What a dataset tells about a model before a run: the shape of a row, the classes of the target, the size of the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.datasets.tables import Dataset
from service.errors import InvalidInput, Problem
from service.features.roles import Kind, Roles, assign_roles
from service.infra.artifacts import ArtifactStore
from service.models.check_schemas import ModelCheck
from service.spec.features import CategoryFeature, ColumnFeature, ExcludedFeature, NumberFeature, TextFeature
from service.spec.fit import FitSpec

SAMPLE_ROWS = 256
SAMPLE_NUMBERS = 1_000_000
MAX_SAMPLED_BYTES = 256 * 1024 * 1024
"""Size of a file from which it is not opened: it may have to come from an object store first."""
MAX_CLASSES = 50
"""Different values from which on a sorted column is rather a measured number than a class."""
CLASS_TYPES = ("category", "boolean", "integer")


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data that a model shall be fitted on."""

    row_shapes: Sequence[tuple[int, ...] | None] | None = None
    """Shape of one row of each input as the model gets it; None where it is not known."""
    is_estimated: bool = False
    """Whether a run may find other shapes: it looks at the values of a table, and leaves out what says nothing of use."""
    classes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """The target column of an output, and how many different values it has, by the output's name."""
    largest_inputs: Mapping[int, float] = field(default_factory=dict)
    """Largest absolute value among inputs that reach the model as they are, by the number of the input."""
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def facts_of(dataset: Dataset, request: ModelCheck, artifacts: ArtifactStore) -> DataFacts:
    """What the dataset tells. Tables are scaled by the feature plan, so only arrays can be too large."""
    definition, target = request.definition, request.target if request.target is not None else dataset.target
    kind: Kind = "table" if dataset.kind == "table" else "arrays"
    inputs, outputs = definition.input_names, definition.output_names
    try:
        roles = assign_roles(kind, dataset.names, inputs, outputs, target, request.features.inputs)
    except InvalidInput as error:
        return DataFacts(problems=error.problems)
    return _table_facts(dataset, roles, request) if kind == "table" else _array_facts(dataset, roles, artifacts)


def _table_facts(dataset: Dataset, roles: Roles, request: ModelCheck) -> DataFacts:
    columns = {column["name"]: column for column in dataset.columns}
    classes = {
        output: (name, columns[name]["distinct"])
        for output, (name, *others) in roles.targets.items()
        if not others and columns[name]["type"] in CLASS_TYPES
    }
    widths = {name: _width_as_asked(columns[name], dataset.rows, request.features.columns.get(name)) for name in columns}
    shapes = [_row_shape([widths[name] for name in names]) for names in roles.inputs.values()]
    warnings = []
    if None in shapes:
        message = "How wide a row is can be told only when a run prepares the columns: some are texts, dates or ids."
        warnings.append(Problem("/dataset", message, fix="Set the input's shape in the definition to have the shapes checked."))
    warnings += _order_warnings([columns[name] for name in roles.target_names], request.fit)
    return DataFacts(row_shapes=shapes, is_estimated=True, classes=classes, warnings=warnings)


def _order_warnings(targets: list[dict[str, Any]], fit: FitSpec | None) -> list[Problem]:
    """Whether rows that are sorted by a target would stay so, or be split so that a part of its values is kept out."""
    found: list[Problem] = []
    if fit is None:
        return found
    for column in (column for column in targets if column.get("order") is not None):
        message = f"The rows are sorted by the target '{column['name'][:80]}'"
        if not fit.shuffle:
            found.append(Problem("/fit/shuffle", f"{message}, and shuffle is false.", "false", "true", "Set shuffle to true."))
        if fit.validation_split and fit.split == "last" and column["distinct"] <= MAX_CLASSES:
            fix = "Set split to stratified or random."
            found.append(Problem("/fit/split", f"{message}, and the last ones are kept out.", "last", "stratified", fix))
    return found


def _row_shape(widths: Sequence[int | None]) -> tuple[int, ...] | None:
    width = sum(width or 0 for width in widths)
    return (width,) if width and None not in widths else None


def _width_as_asked(column: dict[str, Any], rows: int, feature: ColumnFeature | None) -> int | None:
    """Numbers that a column becomes, by the setting for it where there is one."""
    match feature:
        case None:
            return _width(column, rows)
        case ExcludedFeature():
            return 0
        case NumberFeature():
            return 1
        case CategoryFeature():
            return 1 if feature.encoding == "index" else int(column["distinct"]) + 1
        case TextFeature(encoding="tokens"):
            return feature.length
    return None


def _width(column: dict[str, Any], rows: int) -> int | None:
    """Numbers that a column becomes by itself: one for a number, one per value and one for "other" for a category."""
    if column["distinct"] == 0:
        return 0
    if column["type"] == "integer" and column["distinct"] == rows - column["nulls"]:
        return None  # it may be an id
    return {"number": 1, "integer": 1, "boolean": 1, "category": column["distinct"] + 1}.get(column["type"])


def _array_facts(dataset: Dataset, roles: Roles, artifacts: ArtifactStore) -> DataFacts:
    arrays = {entry["name"]: entry for entry in dataset.arrays}
    names = [name for (name,) in roles.inputs.values()]
    largest = {number: _largest(dataset.files[name], artifacts) for number, name in enumerate(names)}
    return DataFacts(
        row_shapes=[tuple(arrays[name]["shape"][1:]) or (1,) for name in names],
        largest_inputs={number: value for number, value in largest.items() if value is not None},
    )


def _largest(file: dict[str, Any], artifacts: ArtifactStore) -> float | None:
    """The largest absolute value among the first rows; None where that is not known."""
    if file["size_bytes"] > MAX_SAMPLED_BYTES:
        return None
    array = np.load(artifacts.local_path(file["sha256"]), mmap_mode="r")
    sample = array[:SAMPLE_ROWS].reshape(-1)[:SAMPLE_NUMBERS]
    largest = float(np.abs(sample.astype(np.float64)).max())
    return largest if np.isfinite(largest) else None
