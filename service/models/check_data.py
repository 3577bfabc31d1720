"""What a dataset tells about a model before a run: the shape of a row, the classes of the target, the size of the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.datasets.tables import Dataset
from service.errors import Problem
from service.infra.artifacts import ArtifactStore

SAMPLE_ROWS = 256
SAMPLE_NUMBERS = 1_000_000
MAX_SAMPLED_BYTES = 256 * 1024 * 1024
"""Size of a file from which it is not opened: it may have to come from an object store first."""
CLASS_TYPES = ("category", "boolean", "integer")


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data that a model shall be fitted on; None where it is not."""

    row_shape: tuple[int, ...] | None = None
    """Shape of one row as the model gets it."""
    is_estimated: bool = False
    """Whether a run may find another shape: it looks at the values of a table, and leaves out what says nothing of use."""
    target: str | None = None
    classes: int | None = None
    """Different values of a target column."""
    largest_input: float | None = None
    """Largest absolute value among inputs that reach the model as they are."""
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def facts_of(dataset: Dataset, target: str | None, artifacts: ArtifactStore) -> DataFacts:
    """What the dataset tells. Tables are scaled by the feature plan, so only arrays can be too large."""
    wanted = target or dataset.target
    if wanted is None or wanted not in dataset.names:
        message = "The dataset has no such target." if wanted else "Neither the check nor the dataset names a target."
        expected = f"one of: {', '.join(dataset.names[:20])}"
        return DataFacts(problems=[Problem("/target", message, (wanted or "")[:80] or None, expected, "Name one of them.")])
    if dataset.kind == "table":
        return _table_facts(dataset, wanted)
    return _array_facts(dataset, wanted, artifacts)


def _table_facts(dataset: Dataset, target: str) -> DataFacts:
    inputs = [column for column in dataset.columns if column["name"] != target]
    truth = next(column for column in dataset.columns if column["name"] == target)
    classes = truth["distinct"] if truth["type"] in CLASS_TYPES else None
    widths = [_width(column, dataset.rows) for column in inputs]
    if None in widths:
        message = "How wide a row is can be told only when a run prepares the columns: some are texts, dates or ids."
        warning = Problem("/dataset", message, fix="Set input_shape in the definition to have the shapes checked.")
        return DataFacts(target=target, classes=classes, warnings=[warning])
    width = sum(width or 0 for width in widths)
    return DataFacts(row_shape=(width,) if width else None, is_estimated=True, target=target, classes=classes)


def _width(column: dict[str, Any], rows: int) -> int | None:
    """Numbers that a column becomes by itself: one for a number, one per value and one for "other" for a category."""
    if column["distinct"] == 0:
        return 0
    if column["type"] == "integer" and column["distinct"] == rows - column["nulls"]:
        return None  # it may be an id
    return {"number": 1, "integer": 1, "boolean": 1, "category": column["distinct"] + 1}.get(column["type"])


def _array_facts(dataset: Dataset, target: str, artifacts: ArtifactStore) -> DataFacts:
    inputs = [entry for entry in dataset.arrays if entry["name"] != target]
    if len(inputs) != 1:
        return DataFacts(target=target)
    largest = _largest(dataset.files[inputs[0]["name"]], artifacts)
    return DataFacts(tuple(inputs[0]["shape"][1:]) or (1,), target=target, largest_input=largest)


def _largest(file: dict[str, Any], artifacts: ArtifactStore) -> float | None:
    """The largest absolute value among the first rows; None where that is not known."""
    if file["size_bytes"] > MAX_SAMPLED_BYTES:
        return None
    array = np.load(artifacts.local_path(file["sha256"]), mmap_mode="r")
    sample = array[:SAMPLE_ROWS].reshape(-1)[:SAMPLE_NUMBERS]
    largest = float(np.abs(sample.astype(np.float64)).max())
    return largest if np.isfinite(largest) else None
