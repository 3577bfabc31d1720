"""Makes a feature plan from data: measures the training rows, and reads from the loss what the target must become.

A raw column is a numpy array: numbers (NaN is missing), booleans, dates, or objects (None is missing).
Knows no Keras, files or database.
"""

import math
import operator
from collections.abc import Mapping
from itertools import repeat
from types import NoneType
from typing import Any, Literal, NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import (
    ArrayInput,
    CategoryColumn,
    ExcludedColumn,
    FeaturePlan,
    Label,
    NumberColumn,
    PlannedColumn,
    TableInput,
    Target,
)
from service.spec.base import suggest
from service.spec.compile import LossBase
from service.spec.features import CategoryFeature, ColumnFeature, ExcludedFeature, FeaturesSpec, NumberFeature

Array = np.ndarray[Any, Any]
Kind = Literal["number", "boolean", "text", "date", "empty", "other"]

INPUT_NAME = "input"
MAX_AUTO_CATEGORIES = 50
MAX_CATEGORIES = 10_000
MAX_PROBLEMS = 20


class FittedPlan(NamedTuple):
    """A plan, what it does with each column or array in a few plain words, and what the client should know."""

    plan: FeaturePlan
    chosen: dict[str, str]
    warnings: list[str]


def fit_table_plan(
    columns: Mapping[str, Array], features: FeaturesSpec, target: str | None, loss: LossBase, training: Array
) -> FittedPlan:
    """Plan a table; measures only the rows of which ``training`` (one boolean each) is true, but for the target's classes.

    Raises InvalidInput when the target does not fit the loss, a column has no values, or none can be used.
    """
    target_name = known_target(target, list(columns), "column")
    _check_named_columns(features, list(columns), target_name)
    planned_target = plan_target(target_name, columns[target_name], loss)
    planned, chosen = _plan_columns([name for name in columns if name != target_name], columns, features, training)
    if not any(column.width for column in planned):
        raise _nothing_to_learn_from(target_name, chosen)
    chosen[target_name] = _describe_target(planned_target)
    warnings = [
        f"Column '{column.column}' is left out: {column.reason}."
        for column in planned
        if isinstance(column, ExcludedColumn) and column.column not in features.columns
    ]
    return FittedPlan(FeaturePlan(input=TableInput(name=INPUT_NAME, columns=planned), target=planned_target), chosen, warnings)


def fit_array_plan(
    arrays: Mapping[str, Array], features: FeaturesSpec, target: str | None, loss: LossBase, training: Array
) -> FittedPlan:
    """Plan named arrays of shape ``(rows, …)``: one is the target and the other the input.

    Nothing is measured, so ``training`` (one boolean per row) only has to leave something to train on. Raises InvalidInput.
    """
    assert training.any(), "there is nothing to train on"
    _check_named_columns(features, [], None)
    target_name = known_target(target, list(arrays), "array")
    inputs = [name for name in arrays if name != target_name]
    if len(inputs) != 1:
        problem = Problem("/dataset", "The model has one input.", ", ".join(inputs) or "no array", "one array beside the target")
        raise InvalidInput(f"The dataset has {len(inputs)} arrays beside the target '{target_name}'. Expected one.", [problem])
    planned_target = plan_target(target_name, arrays[target_name], loss)
    values = arrays[inputs[0]]
    plan_input = ArrayInput(name=INPUT_NAME, shape=list(values.shape[1:]) or [1], dtype="float32")
    chosen = {
        inputs[0]: f"numbers as they are, shape {tuple(plan_input.shape)} per row",
        target_name: _describe_target(planned_target),
    }
    return FittedPlan(FeaturePlan(input=plan_input, target=planned_target), chosen, [])


def kind_of(values: Array) -> Kind:
    """What a raw column holds, missing values aside."""
    by_dtype: dict[str, Kind] = {"i": "number", "u": "number", "b": "boolean", "M": "date", "m": "date"}
    if values.dtype.kind == "f":
        return "empty" if np.isnan(values).all() else "number"
    if values.dtype.kind != "O":
        return by_dtype.get(values.dtype.kind, "other")
    types = set(map(type, values)) - {NoneType}
    if not types:
        return "empty"
    by_type: dict[type, Kind] = {str: "text", bool: "boolean", int: "number"}
    return by_type.get(types.pop(), "other") if len(types) == 1 else "other"


def is_missing(values: Array) -> Array:
    """One boolean per row of a raw column."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        return np.fromiter(map(operator.is_, values, repeat(None)), bool, len(values))
    return np.zeros(len(values), dtype=bool)


def labels_of(values: Array) -> list[Label]:
    """The distinct values of a raw column in order, missing ones left out; whole numbers as integers."""
    present = _present(values)
    distinct = sorted(set(present.tolist())) if present.dtype.kind == "O" else np.unique(present).tolist()
    if distinct and all(isinstance(value, float) and value.is_integer() for value in distinct):
        return [int(value) for value in distinct]
    return distinct


def _present(values: Array) -> Array:
    """The values that are not missing; no copy where none is."""
    missing = is_missing(values)
    return values[~missing] if missing.any() else values


# Columns


def _plan_columns(
    names: list[str], columns: Mapping[str, Array], features: FeaturesSpec, training: Array
) -> tuple[list[PlannedColumn], dict[str, str]]:
    """What becomes of each column, and in words; one column is held at a time. Raises InvalidInput."""
    planned, chosen, empty = [], {}, []
    for name in names:
        feature = features.columns.get(name)
        if isinstance(feature, ExcludedFeature):
            column, chosen[name] = _exclude(name, "as you asked")
        else:
            values = _chosen_rows(columns[name], training)
            kind = kind_of(values)
            if kind == "empty":
                empty.append(name)
                continue
            column, chosen[name] = _plan_column(name, values, kind, feature)
        planned.append(column)
    if empty:
        raise _no_values(empty)
    return planned, chosen


def _chosen_rows(values: Array, chosen: Array) -> Array:
    """The rows of which ``chosen`` is true; no copy where these are the first ones, as they mostly are."""
    count = int(np.count_nonzero(chosen))
    return values[:count] if chosen[:count].all() else values[chosen]


def _no_values(names: list[str]) -> InvalidInput:
    problems = [
        Problem(
            f"/features/columns/{_escape(name)}", f"Column '{name}' has no values in the training rows.", "no values", "some",
            f'Leave it out: "features": {{"columns": {{"{name}": {{"type": "exclude"}}}}}}; or fill it in.',
        )
        for name in names[:MAX_PROBLEMS]
    ]  # fmt: skip
    more = f" Neither have {len(names) - 1} others." if len(names) > 1 else ""
    return InvalidInput(f"{problems[0].message}{more} {problems[0].fix}", problems)


def _plan_column(name: str, values: Array, kind: Kind, feature: ColumnFeature | None) -> tuple[PlannedColumn, str]:
    if isinstance(feature, NumberFeature):
        return _plan_number(name, values, kind, feature.scale)
    if isinstance(feature, CategoryFeature):
        return _plan_category(name, values, kind, feature.encoding)
    return _plan_automatically(name, values, kind)


def _plan_automatically(name: str, values: Array, kind: Kind) -> tuple[PlannedColumn, str]:
    if kind == "number":
        return _plan_number(name, values, kind, "standardize")
    if kind == "boolean":
        return _plan_number(name, values, kind, "none")
    if kind == "date":
        return _exclude(name, "dates cannot be used yet")
    if kind == "other":
        return _exclude(name, "its values are neither numbers, booleans nor text")
    distinct = len(labels_of(values))
    if distinct > MAX_AUTO_CATEGORIES:
        return _exclude(name, f"it is text with {distinct} different values (more than {MAX_AUTO_CATEGORIES})")
    return _plan_category(name, values, kind, "one_hot")


def _exclude(name: str, reason: str) -> tuple[PlannedColumn, str]:
    return ExcludedColumn(column=name, reason=reason), f"left out: {reason}"


def _plan_number(name: str, values: Array, kind: Kind, scale: str) -> tuple[PlannedColumn, str]:
    if kind not in ("number", "boolean"):
        problem = Problem(
            f"/features/columns/{_escape(name)}", "The column holds no numbers.", kind, "numbers or booleans",
            'Use {"type": "category"} or {"type": "exclude"}.',
        )  # fmt: skip
        raise InvalidInput(f"Column '{name}' cannot be used as a number: it holds {kind}.", [problem])
    present = _present(values).astype(np.float64, copy=False)
    offset, divisor, words = _measure(name, present, scale)
    column = NumberColumn(
        column=name, missing=float(present.mean()), offset=offset, divisor=divisor, is_boolean=kind == "boolean"
    )
    return column, "0 or 1" if kind == "boolean" and scale == "none" else words


def _measure(name: str, present: Array, scale: str) -> tuple[float, float, str]:
    with np.errstate(over="ignore", invalid="ignore"):
        low, high, mean, deviation = (float(f(present)) for f in (np.min, np.max, np.mean, np.std))
    if not all(map(math.isfinite, (low, high, mean, deviation))):
        problem = Problem(
            f"/dataset/columns/{_escape(name)}", "A value is infinite or too large to measure.", f"{low:g} to {high:g}"
        )
        raise InvalidInput(f"Column '{name}' holds numbers that are too large to scale.", [problem])
    if scale == "none":
        return 0.0, 1.0, "number as it is"
    if low == high:
        return low, 0.0, f"number, always {low:g}, so it becomes 0"
    if scale == "min_max":
        return low, high - low, f"number, from {low:g} to {high:g} scaled to 0 to 1"
    return mean, deviation, f"number, standardized (mean {mean:.4g}, deviation {deviation:.4g})"


def _plan_category(name: str, values: Array, kind: Kind, encoding: Literal["one_hot", "index"]) -> tuple[PlannedColumn, str]:
    pointer = f"/features/columns/{_escape(name)}"
    if kind not in ("number", "boolean", "text"):
        problem = Problem(pointer, "The values have no names.", kind, "text, numbers or booleans", 'Use {"type": "exclude"}.')
        raise InvalidInput(f"Column '{name}' cannot be used as a category: it holds {kind}.", [problem])
    vocabulary = labels_of(values)
    if len(vocabulary) > MAX_CATEGORIES:
        problem = Problem(pointer, "There are too many different values.", str(len(vocabulary)), f"at most {MAX_CATEGORIES}")
        raise InvalidInput(f"Column '{name}' has {len(vocabulary)} different values, too many for a category.", [problem])
    words = "one-hot" if encoding == "one_hot" else "as the value's place"
    return CategoryColumn(column=name, vocabulary=vocabulary, encoding=encoding), f"one of {len(vocabulary)} values, {words}"


# The target


def plan_target(name: str, values: Array, loss: LossBase) -> Target:
    """How raw target values ``(rows, …)`` become what the loss wants. Raises InvalidInput."""
    _check_complete(name, values)
    encoding = loss.target_encoding
    if encoding == "number":
        _check_numbers(name, values, loss)
        return Target(name=name, encoding=encoding)
    classes: list[Label] = list(range(values.shape[1])) if _is_one_hot(values, encoding) else _classes(name, values, loss)
    if encoding == "binary" and len(classes) != 2:
        raise _bad_target(
            name, f"it has {len(classes)} classes, and {loss.type} wants exactly 2", _shown(classes), "2 classes",
            "Use SparseCategoricalCrossentropy with one softmax unit per class." if len(classes) > 2 else None,
        )  # fmt: skip
    return Target(name=name, encoding=encoding, classes=classes, from_logits=bool(getattr(loss, "from_logits", False)))


def _is_one_hot(values: Array, encoding: str) -> bool:
    return encoding == "one_hot" and values.ndim == 2 and values.shape[1] > 1


def _classes(name: str, values: Array, loss: LossBase) -> list[Label]:
    if values.ndim > 1 and values.shape[1:] != (1,):
        fix = "Give each row the number or name of its class."
        if loss.target_encoding == "index":
            fix += " For one-hot rows use CategoricalCrossentropy."
        raise _bad_target(name, f"{loss.type} wants one class per row", f"shape {values.shape}", f"shape ({len(values)},)", fix)
    kind = kind_of(values.reshape(-1))
    if kind not in ("number", "boolean", "text"):
        raise _bad_target(name, f"its values are no classes ({kind})", kind, "text, whole numbers or booleans", None)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise _bad_target(name, "it holds infinite numbers", "infinity", "finite numbers", None)
    classes = labels_of(values.reshape(-1))
    if len(classes) < 2:
        raise _bad_target(name, "it is the same in every row", _shown(classes), "at least 2 classes", "Choose another target.")
    if len(classes) > MAX_CATEGORIES:
        raise _bad_target(
            name, f"it has {len(classes)} different values, too many for classes", str(len(classes)), f"at most {MAX_CATEGORIES}",
            "For numbers, use a loss such as MeanSquaredError.",
        )  # fmt: skip
    return classes


def _check_complete(name: str, values: Array) -> None:
    missing = int(is_missing(values).reshape(len(values), -1).any(axis=1).sum())
    if missing:
        raise _bad_target(
            name, f"{missing} of its {len(values)} rows have no value", f"{missing} missing values", "a value in every row",
            "Remove these rows or fill them in.",
        )  # fmt: skip


def _check_numbers(name: str, values: Array, loss: LossBase) -> None:
    if values.dtype.kind not in "biuf":
        kind = kind_of(values)
        fix = "Use a loss for classes, such as SparseCategoricalCrossentropy." if kind == "text" else None
        raise _bad_target(name, f"it holds {kind}, and {loss.type} wants numbers", kind, "numbers", fix)
    if not np.isfinite(values).all():
        raise _bad_target(name, "it holds infinite numbers", "infinity", "finite numbers", None)
    if len(values) and values.min() == values.max():
        raise _bad_target(
            name, "it is the same in every row", str(values.flat[0]), "numbers that differ", "Choose another target."
        )


def known_target(target: str | None, names: list[str], noun: str) -> str:
    """The target's name, which is one of the names of columns or arrays. Raises InvalidInput."""
    if target is None:
        problem = Problem(
            "/target", "Nothing says what to predict.", "null", f"one of: {_shown(names)}", f"Name a {noun} as target."
        )
        raise InvalidInput(f"The run has no target: say which {noun} the model shall predict.", [problem])
    if target not in names:
        problem = Problem(
            "/target", f"There is no such {noun}.", target[:80], f"one of: {_shown(names)}", suggest(target[:80], names)
        )
        raise InvalidInput(f"The dataset has no {noun} '{target[:80]}'. {suggest(target[:80], names[:50])}", [problem])
    return target


def _check_named_columns(features: FeaturesSpec, names: list[str], target: str | None) -> None:
    problems = []
    for name in features.columns:
        pointer = f"/features/columns/{_escape(name)}"
        if name == target:
            problems.append(Problem(pointer, "This is the target.", name, "a column other than the target", "Leave it out."))
        elif name not in names:
            fix = suggest(name[:80], names[:50]) if names else "Leave it out: settings by column are for tables."
            problems.append(Problem(pointer, "There is no such column.", name[:80], None, fix))
    if problems:
        raise InvalidInput("Some settings in 'features' name no usable column.", problems[:20])


def _nothing_to_learn_from(target: str, chosen: dict[str, str]) -> InvalidInput:
    reasons = "; ".join(f"'{name}' is {words}" for name, words in list(chosen.items())[:5])
    message = f"No column is left to learn '{target}' from" + (f": {reasons}." if reasons else ".")
    return InvalidInput(
        message, [Problem("/features", message, fix="Add a column with numbers, booleans or few different texts.")]
    )


def _bad_target(name: str, reason: str, received: str, expected: str, fix: str | None) -> InvalidInput:
    message = f"Target '{name}' does not work: {reason}." + (f" {fix}" if fix else "")
    return InvalidInput(message, [Problem("/target", f"{reason[0].upper()}{reason[1:]}.", received, expected, fix)])


def _describe_target(target: Target) -> str:
    if target.classes is None:
        return "target: the number itself"
    words = {"binary": "as 0 and 1", "index": "as the class's place", "one_hot": "as one-hot rows"}[target.encoding]
    return f"target: {len(target.classes)} classes ({_shown(target.classes)}) {words}"


def _shown(values: list[Any]) -> str:
    shown = ", ".join(str(value)[:40] for value in values[:10])
    return f"{shown}, …" if len(values) > 10 else shown


def _escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
