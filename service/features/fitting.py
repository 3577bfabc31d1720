"""Makes a feature plan from data: measures the training rows, and reads from the loss what the target must become.

Knows no Keras, files or database.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.columns import MAX_CATEGORIES, exclude, plan_column
from service.features.guards import suspicion_of
from service.features.plan import (
    ArrayInput,
    CategoryColumn,
    DatetimeColumn,
    ExcludedColumn,
    FeaturePlan,
    Label,
    NumberColumn,
    PlannedColumn,
    TableInput,
    Target,
    TextColumn,
)
from service.features.raw import Array, escape, is_missing, kind_of, labels_of
from service.spec.base import suggest
from service.spec.compile import LossBase
from service.spec.features import ExcludedFeature, FeaturesSpec

INPUT_NAME = "input"
MAX_PROBLEMS = 20


class FittedPlan(NamedTuple):
    """A plan, what it does with each column or array in a few plain words, and what the client should know."""

    plan: FeaturePlan
    chosen: dict[str, str]
    warnings: list[str]


class _Column(NamedTuple):
    planned: PlannedColumn
    words: str
    suspicion: str | None = None
    """Why the column should be left out; never set where the client has said how to use it."""


def fit_table_plan(
    columns: Mapping[str, Array], features: FeaturesSpec, target: str | None, loss: LossBase, training: Array
) -> FittedPlan:
    """Plan a table; measures only the rows of which ``training`` (one boolean each) is true, but for the target's classes.

    Raises InvalidInput when the target does not fit the loss, a column has no values, or none can be used.
    """
    target_name = known_target(target, list(columns), "column")
    _check_named_columns(features, list(columns), target_name)
    planned_target = plan_target(target_name, columns[target_name], loss)
    names = [name for name in columns if name != target_name]
    planned, warnings = _settle(_plan_columns(names, columns, features, training, planned_target), features)
    chosen = {name: column.words for name, column in planned.items()}
    if not any(column.planned.width for column in planned.values()):
        raise _nothing_to_learn_from(target_name, chosen)
    _check_tokens(planned)
    chosen[target_name] = _describe_target(planned_target)
    table = TableInput(name=INPUT_NAME, columns=[column.planned for column in planned.values()])
    return FittedPlan(FeaturePlan(input=table, target=planned_target), chosen, warnings)


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


# Columns


def _plan_columns(
    names: list[str], columns: Mapping[str, Array], features: FeaturesSpec, training: Array, target: Target
) -> dict[str, _Column]:
    """What becomes of each column; one is held at a time, beside the target. Raises InvalidInput."""
    planned: dict[str, _Column] = {}
    empty = []
    truth = _chosen_rows(columns[target.name], training)
    for name in names:
        feature = features.columns.get(name)
        if isinstance(feature, ExcludedFeature):
            planned[name] = _Column(*exclude(name, "as you asked"))
            continue
        values = _chosen_rows(columns[name], training)
        if kind_of(values) == "empty":
            empty.append(name)
        elif feature is None:
            planned[name] = _plan_automatically(name, values, truth, target)
        else:
            planned[name] = _Column(*plan_column(name, values, kind_of(values), feature))
    if empty:
        raise _no_values(empty)
    return planned


def _plan_automatically(name: str, values: Array, truth: Array, target: Target) -> _Column:
    kind = kind_of(values)
    column, words = plan_column(name, values, kind, None)
    if isinstance(column, ExcludedColumn | DatetimeColumn):
        return _Column(column, words)
    return _Column(column, words, suspicion_of(name, values, kind, truth, target.classes is not None))


def _settle(planned: dict[str, _Column], features: FeaturesSpec) -> tuple[dict[str, _Column], list[str]]:
    """Leave out what is suspicious, unless nothing else is left to learn from; and say so."""
    warnings = [
        f"Column '{name}' is left out: {column.planned.reason}."
        for name, column in planned.items()
        if isinstance(column.planned, ExcludedColumn) and name not in features.columns
    ]
    suspicious = {name: column.suspicion for name, column in planned.items() if column.suspicion is not None}
    if not any(column.planned.width for name, column in planned.items() if name not in suspicious):
        warnings += [f"Column '{name}' is used because there is no other, but {why}." for name, why in suspicious.items()]
        return planned, warnings
    for name, why in suspicious.items():
        warnings.append(f"Column '{name}' is left out: {why}. {_way_to_use(name, planned[name].planned)}")
    return planned | {name: _Column(*exclude(name, why)) for name, why in suspicious.items()}, warnings


def _way_to_use(name: str, column: PlannedColumn) -> str:
    setting = {NumberColumn: "number", CategoryColumn: "category"}.get(type(column), "text")
    return f'To use it all the same, set "features": {{"columns": {{"{name}": {{"type": "{setting}"}}}}}}.'


def _check_tokens(planned: dict[str, _Column]) -> None:
    used = [name for name, column in planned.items() if column.planned.width]
    for name in used:
        column = planned[name].planned
        if isinstance(column, TextColumn) and column.encoding == "tokens" and len(used) > 1:
            others = [other for other in used if other != name]
            message = f"Column '{name}' becomes tokens for an Embedding, which cannot share one input with other columns."
            fix = f'Leave the others out with {{"type": "exclude"}} ({_shown(others)}), or use the encoding "multi_hot".'
            problem = Problem(f"/features/columns/{escape(name)}/encoding", message, "tokens", "no other column", fix)
            raise InvalidInput(f"{message} {fix}", [problem])


def _chosen_rows(values: Array, chosen: Array) -> Array:
    """The rows of which ``chosen`` is true; no copy where these are the first ones, as they mostly are."""
    count = int(np.count_nonzero(chosen))
    return values[:count] if chosen[:count].all() else values[chosen]


def _no_values(names: list[str]) -> InvalidInput:
    problems = [
        Problem(
            f"/features/columns/{escape(name)}", f"Column '{name}' has no values in the training rows.", "no values", "some",
            f'Leave it out: "features": {{"columns": {{"{name}": {{"type": "exclude"}}}}}}; or fill it in.',
        )
        for name in names[:MAX_PROBLEMS]
    ]  # fmt: skip
    more = f" Neither have {len(names) - 1} others." if len(names) > 1 else ""
    return InvalidInput(f"{problems[0].message}{more} {problems[0].fix}", problems)


# The target


def plan_target(name: str, values: Array, loss: LossBase) -> Target:
    """How raw target values ``(rows, …)`` become what the loss wants. Raises InvalidInput."""
    _check_complete(name, values)
    encoding = loss.target_encoding
    from_logits = bool(getattr(loss, "from_logits", False))
    if encoding == "binary" and _are_labels(values):
        labels: list[Label] = list(range(values.shape[1]))
        return Target(name=name, encoding="number", labels=labels, from_logits=from_logits)
    if encoding == "number":
        _check_numbers(name, values, loss)
        return Target(name=name, encoding=encoding)
    classes: list[Label] = list(range(values.shape[1])) if _is_one_hot(values, encoding) else _classes(name, values, loss)
    if encoding == "binary" and len(classes) != 2:
        raise _bad_target(
            name, f"it has {len(classes)} classes, and {loss.type} wants exactly 2", _shown(classes), "2 classes",
            "Use SparseCategoricalCrossentropy with one softmax unit per class." if len(classes) > 2 else None,
        )  # fmt: skip
    return Target(name=name, encoding=encoding, classes=classes, from_logits=from_logits)


def _are_labels(values: Array) -> bool:
    """Whether each row says of several labels which are true."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    return bool(((values == 0) | (values == 1)).all())


def _is_one_hot(values: Array, encoding: str) -> bool:
    return encoding == "one_hot" and values.ndim == 2 and values.shape[1] > 1


def _classes(name: str, values: Array, loss: LossBase) -> list[Label]:
    if values.ndim > 1 and values.shape[1:] != (1,):
        fix = "Give each row the number or name of its class."
        if loss.target_encoding == "index":
            fix += " For one-hot rows use CategoricalCrossentropy."
        elif loss.target_encoding == "binary":
            fix += " Or give it rows of zeros and ones, one for each label."
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
        pointer = f"/features/columns/{escape(name)}"
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
    if target.labels is not None:
        return f"target: {len(target.labels)} labels, each true or not"
    if target.classes is None:
        return "target: the number itself"
    words = {"binary": "as 0 and 1", "index": "as the class's place", "one_hot": "as one-hot rows"}[target.encoding]
    return f"target: {len(target.classes)} classes ({_shown(target.classes)}) {words}"


def _shown(values: list[Any]) -> str:
    shown = ", ".join(str(value)[:40] for value in values[:10])
    return f"{shown}, …" if len(values) > 10 else shown
