"""Looks whether a version can predict a dataset, from what the database knows of both, before a run is accepted."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from service.datasets.tables import Dataset
from service.errors import Problem
from service.features.encoding import columns_of
from service.features.plan import ArrayInput, CategoryColumn, DatetimeColumn, FeaturePlan, NumberColumn, UsedColumn
from service.runs.schemas import BatchPredictionCreate
from service.spec.base import suggest

MAX_PROBLEMS = 20
MAX_NAMES = 50
NUMBERS = ("number", "integer")
TEXTS = ("category", "text")


def batch_problems(dataset: Dataset, plan: FeaturePlan, request: BatchPredictionCreate) -> list[Problem]:
    """Everything that is wrong with a request; the target may be missing."""
    found = chain(_input_problems(dataset, plan), _carried_problems(dataset, request.columns))
    return list(islice(found, MAX_PROBLEMS))  # looking for the nearest name takes a while


def _carried_problems(dataset: Dataset, columns: list[str]) -> Iterator[Problem]:
    names = dict.fromkeys(dataset.names)
    for place, name in enumerate(columns):
        if name not in names:
            noun = "column" if dataset.kind == "table" else "array"
            message = f"The dataset has no {noun} '{name[:80]}'."
            yield Problem(f"/columns/{place}", message, name[:80], fix=suggest(name[:80], list(names)[:MAX_NAMES]))


def _input_problems(dataset: Dataset, plan: FeaturePlan) -> Iterator[Problem]:
    if plan.is_of_table != (dataset.kind == "table"):
        expected, received = ("a table", "arrays") if plan.is_of_table else ("arrays", "a table")
        message = f"The dataset holds {received}, but the version was fitted with {expected}."
        yield Problem("/dataset", message, received, expected, "Choose a dataset of the same form.")
        return
    entries = {entry["name"]: entry for entry in dataset.entries}
    for column in columns_of(plan):
        if column.column in entries:
            yield from _column_problems(column, entries[column.column], dataset.rows)
        else:
            yield _missing("column", column.column, dataset)
    for entry in plan.array_inputs:
        if entry.array in entries:
            yield from _array_problems(entry, entries[entry.array])
        else:
            yield _missing("array", entry.array, dataset)


def _missing(noun: str, name: str, dataset: Dataset) -> Problem:
    message = f"The dataset has no {noun} '{name[:80]}', which the version was fitted with."
    return Problem("/dataset", message, expected=f"{noun} '{name[:80]}'", fix=suggest(name[:80], dataset.names[:MAX_NAMES]))


def _column_problems(column: UsedColumn, entry: dict[str, Any], rows: int) -> Iterator[Problem]:
    """A column without any value does for every kind: what is missing is filled in."""
    allowed = _types_for(column)
    if entry["type"] not in allowed and entry["nulls"] < rows:
        message = f"Column '{column.column[:80]}' holds values of another type than in training."
        fix = "Give the column the type that it had in training."
        yield Problem("/dataset", message, entry["type"], f"one of: {', '.join(allowed)}", fix)


def _types_for(column: UsedColumn) -> tuple[str, ...]:
    match column:
        case NumberColumn():
            return (*NUMBERS, "boolean") if column.is_boolean else NUMBERS
        case CategoryColumn():
            return TEXTS if any(isinstance(label, str) for label in column.vocabulary) else (*NUMBERS, "boolean")
        case DatetimeColumn():
            return ("datetime", *TEXTS)
    return TEXTS


def _array_problems(plan: ArrayInput, entry: dict[str, Any]) -> Iterator[Problem]:
    name, shape = plan.array[:80], entry["shape"][1:] or [1]
    if entry.get("classes"):
        yield Problem("/dataset", f"Array '{name}' holds texts.", "texts", "numbers")
    elif shape != list(plan.shape):
        received, expected = str(tuple(shape)), str(tuple(plan.shape))
        yield Problem("/dataset", f"Array '{name}' has rows of another shape than in training.", received, expected)
