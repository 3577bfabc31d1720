"""Makes a feature plan from data: measures the training rows, and reads from the loss what the target must become.

Knows no Keras, files or database.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.arrays import plan_array
from service.features.columns import MAX_CATEGORIES, exclude, plan_column
from service.features.guards import suspicion_of
from service.features.plan import (
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
from service.features.roles import Kind, Roles, listed
from service.spec.base import suggest
from service.spec.compile import LossBase
from service.spec.features import ArrayFeature, ExcludedFeature, FeaturesSpec

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
    columns: Mapping[str, Array], features: FeaturesSpec, roles: Roles, losses: Mapping[str, LossBase], training: Array
) -> FittedPlan:
    """Plan a table; measures only the rows of which ``training`` (one boolean each) is true, but for the target's classes.

    ``losses`` are those of the outputs. Raises InvalidInput when a target does not fit its loss, a column has no values, or
    none can be used.
    """
    _check_settings(features, list(columns), roles, "table")
    targets = _plan_targets(columns, roles, losses)
    names = list(dict.fromkeys(name for taken in roles.inputs.values() for name in taken))
    planned, warnings = _settle(_plan_columns(names, columns, features, training, targets), features, roles)
    chosen = {name: _words_for(name, planned[name].words, roles) for name in names}
    for taken in roles.inputs.values():
        if not any(planned[name].planned.width for name in taken):
            raise _nothing_to_learn_from(targets[0], {name: planned[name].words for name in taken})
        _check_tokens({name: planned[name] for name in taken})
    used = {*names, *roles.target_names}
    unused = [ExcludedColumn(column=name, reason="no input takes it") for name in columns if name not in used]
    chosen |= {column.column: f"left out: {column.reason}" for column in unused} | _describe_targets(targets)
    tables = [TableInput(name=name, columns=[planned[n].planned for n in taken]) for name, taken in roles.inputs.items()]
    return FittedPlan(FeaturePlan(inputs=[*tables], targets=targets, unused=unused), chosen, warnings)


def fit_array_plan(
    arrays: Mapping[str, Array], features: FeaturesSpec, roles: Roles, losses: Mapping[str, LossBase], training: Array
) -> FittedPlan:
    """Plan named arrays of shape ``(rows, …)``; measures only the rows of which ``training`` (one boolean each) is true.

    Raises InvalidInput.
    """
    assert training.any(), "there is nothing to train on"
    _check_settings(features, list(arrays), roles, "arrays")
    targets = _plan_targets(arrays, roles, losses)
    inputs, chosen = [], {}
    for name, (array,) in roles.inputs.items():
        feature = features.arrays.get(array, ArrayFeature())
        planned, words = plan_array(name, array, arrays[array], feature, training)
        inputs.append(planned)
        chosen[array] = _words_for(array, words, roles)
    used = {*chosen, *roles.target_names}
    chosen |= {name: "left out: no input takes it" for name in arrays if name not in used} | _describe_targets(targets)
    return FittedPlan(FeaturePlan(inputs=[*inputs], targets=targets), chosen, [])


def _words_for(name: str, words: str, roles: Roles) -> str:
    """What becomes of a column, and of several inputs which one takes it."""
    takers = [f"'{taker}'" for taker, taken in roles.inputs.items() if name in taken]
    return f"{words}; for input {' and '.join(takers)}" if len(roles.inputs) > 1 else words


# Columns


def _plan_columns(
    names: list[str], columns: Mapping[str, Array], features: FeaturesSpec, training: Array, targets: list[Target]
) -> dict[str, _Column]:
    """What becomes of each column; one is held at a time, beside the targets. Raises InvalidInput."""
    planned: dict[str, _Column] = {}
    empty = []
    truths = [
        _Truth(_chosen_rows(columns[name], training), target.classes is not None) for target in targets for name in target.columns
    ]
    for name in names:
        feature = features.columns.get(name)
        if isinstance(feature, ExcludedFeature):
            planned[name] = _Column(*exclude(name, "as you asked"))
            continue
        values = _chosen_rows(columns[name], training)
        if kind_of(values) == "empty":
            empty.append(name)
        elif feature is None:
            planned[name] = _plan_automatically(name, values, truths)
        else:
            planned[name] = _Column(*plan_column(name, values, kind_of(values), feature))
    if empty:
        raise _no_values(empty)
    return planned


class _Truth(NamedTuple):
    """The training rows of a target column, and whether it is no measured number."""

    values: Array
    has_classes: bool


def _plan_automatically(name: str, values: Array, truths: list[_Truth]) -> _Column:
    kind = kind_of(values)
    column, words = plan_column(name, values, kind, None)
    if isinstance(column, ExcludedColumn | DatetimeColumn):
        return _Column(column, words)
    found = (suspicion_of(name, values, kind, *truth) for truth in truths)
    return _Column(column, words, next((suspicion for suspicion in found if suspicion is not None), None))


def _settle(planned: dict[str, _Column], features: FeaturesSpec, roles: Roles) -> tuple[dict[str, _Column], list[str]]:
    """Leave out what is suspicious, unless an input has nothing else to learn from; and say so."""
    warnings = [
        f"Column '{name}' is left out: {column.planned.reason}."
        for name, column in planned.items()
        if isinstance(column.planned, ExcludedColumn) and name not in features.columns
    ]
    suspicious = {name: column.suspicion for name, column in planned.items() if column.suspicion is not None}
    for taken in roles.inputs.values():
        if not any(planned[name].planned.width for name in taken if name not in suspicious):
            for name in taken:
                why = suspicious.pop(name, None)
                if why is not None:
                    warnings.append(f"Column '{name}' is used because there is no other, but {why}.")
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
            fix = f'Leave the others out with {{"type": "exclude"}} ({listed(others)}), or use the encoding "multi_hot".'
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


# The targets


def _plan_targets(columns: Mapping[str, Array], roles: Roles, losses: Mapping[str, LossBase]) -> list[Target]:
    return [plan_target(output, names, raw_target(columns, names), losses[output]) for output, names in roles.targets.items()]


def raw_target(columns: Mapping[str, Array], names: list[str]) -> Array:
    """The raw values of a target: ``(rows, …)`` as they are, or several columns side by side as ``(rows, columns)``.

    Raises InvalidInput where one of several holds no numbers.
    """
    if len(names) == 1:
        return columns[names[0]]
    values = [columns[name] for name in names]
    for name, column in zip(names, values, strict=True):
        _check_complete(name, column)
        if column.dtype.kind not in "biuf":
            raise _bad_target(
                name, "it shall be predicted together with others, and holds no numbers", kind_of(column), "numbers or booleans",
                "Give it an output of its own.",
            )  # fmt: skip
    return np.stack(values, axis=1)


def plan_target(output: str, columns: list[str], values: Array, loss: LossBase) -> Target:
    """How raw target values ``(rows, …)`` become what the loss wants. Raises InvalidInput."""
    name = ", ".join(columns)
    _check_complete(name, values)
    encoding = loss.target_encoding
    from_logits = bool(getattr(loss, "from_logits", False))
    if encoding == "binary" and _are_labels(values):
        labels: list[Label] = [*columns] if len(columns) > 1 else list(range(values.shape[1]))
        return Target(output=output, columns=columns, encoding="number", labels=labels, from_logits=from_logits)
    if encoding == "number":
        _check_numbers(name, values, loss)
        return Target(output=output, columns=columns, encoding=encoding)
    classes: list[Label] = list(range(values.shape[1])) if _is_one_hot(values, encoding) else _classes(name, values, loss)
    if encoding == "one_hot" and len(columns) > 1:
        classes = [*columns]
    if encoding == "binary" and len(classes) != 2:
        raise _bad_target(
            name, f"it has {len(classes)} classes, and {loss.type} wants exactly 2", listed(classes), "2 classes",
            "Use SparseCategoricalCrossentropy with one softmax unit per class." if len(classes) > 2 else None,
        )  # fmt: skip
    return Target(output=output, columns=columns, encoding=encoding, classes=classes, from_logits=from_logits)


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
        raise _bad_target(name, "it is the same in every row", listed(classes), "at least 2 classes", "Choose another target.")
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


def _check_settings(features: FeaturesSpec, names: list[str], roles: Roles, kind: Kind) -> None:
    """Refuse settings of columns or arrays that are not there, or that are targets."""
    noun = "column" if kind == "table" else "array"
    problems = []
    for setting, of_noun in [(name, "column") for name in features.columns] + [(name, "array") for name in features.arrays]:
        pointer = f"/features/{of_noun}s/{escape(setting)}"
        if of_noun != noun:
            fix = f"Leave it out: settings by {of_noun} are for {'tables' if of_noun == 'column' else 'arrays'}."
            problems.append(Problem(pointer, f"There is no such {of_noun}.", setting[:80], None, fix))
        elif setting in roles.target_names:
            problems.append(Problem(pointer, "This is the target.", setting, f"another {noun} than the target", "Leave it out."))
        elif setting not in names:
            problems.append(Problem(pointer, f"There is no such {noun}.", setting[:80], None, suggest(setting[:80], names[:50])))
    if problems:
        raise InvalidInput(f"Some settings in 'features' name no usable {noun}.", problems[:MAX_PROBLEMS])


def _nothing_to_learn_from(target: Target, chosen: dict[str, str]) -> InvalidInput:
    reasons = "; ".join(f"'{name}' is {words}" for name, words in list(chosen.items())[:5])
    message = f"No column is left to learn '{target.name}' from" + (f": {reasons}." if reasons else ".")
    return InvalidInput(
        message, [Problem("/features", message, fix="Add a column with numbers, booleans or few different texts.")]
    )


def _bad_target(name: str, reason: str, received: str, expected: str, fix: str | None) -> InvalidInput:
    message = f"Target '{name}' does not work: {reason}." + (f" {fix}" if fix else "")
    return InvalidInput(message, [Problem("/target", f"{reason[0].upper()}{reason[1:]}.", received, expected, fix)])


def _describe_targets(targets: list[Target]) -> dict[str, str]:
    """What becomes of each target column, in words."""
    words: dict[str, str] = {}
    for target in targets:
        of_output = f"; for output '{target.output}'" if len(targets) > 1 else ""
        words |= dict.fromkeys(target.columns, _describe_target(target) + of_output)
    return words


def _describe_target(target: Target) -> str:
    if target.labels is not None:
        return f"target: {len(target.labels)} labels, each true or not"
    if target.classes is None:
        return "target: the number itself"
    words = {"binary": "as 0 and 1", "index": "as the class's place", "one_hot": "as one-hot rows"}[target.encoding]
    return f"target: {len(target.classes)} classes ({listed(target.classes)}) {words}"
