"""Lays the rows or tensors of a request out as arrays of numbers, and says what is wrong with them and where."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.arrays import encode_array
from service.features.cells import MAX_PROBLEMS, TENSOR_RULES, Rules, shown
from service.features.plan import ArrayInput
from service.features.raw import Array, all_finite, escape
from service.features.tensors import require_one_length


def encode_array_rows(inputs: list[ArrayInput], rows: list[Any] | Array, pointer: str, rules: Rules) -> list[Array]:
    """The tensor of each input. Raises InvalidInput."""
    names = [entry.name for entry in inputs]
    if not isinstance(rows, list):
        if len(inputs) == 1 and rows.shape[1:] == tuple(inputs[0].shape):
            return [_encode_finite(inputs[0], rows, pointer, "", rules)]
        return encode_array_rows(inputs, rows.tolist(), pointer, rules)
    if len(inputs) == 1:
        name = names[0]
        if all(type(row) is dict and row.keys() == {name} for row in rows):
            return [_encode(inputs[0], [row[name] for row in rows], pointer, f"/{escape(name)}", rules)]
        return [_encode(inputs[0], rows, pointer, "", rules)]
    problems = list(_without_inputs(names, rows, pointer))
    if problems:
        raise InvalidInput(f"Some rows cannot be used. {problems[0].pointer}: {problems[0].message}", problems)
    return [_encode(entry, [row[entry.name] for row in rows], pointer, f"/{escape(entry.name)}", rules) for entry in inputs]


def encode_array_tensors(inputs: list[ArrayInput], tensors: Mapping[str, Array], pointers: Mapping[str, str]) -> list[Array]:
    """The tensor of each input for tensors ``(rows, …)`` of numbers. Raises InvalidInput; NaN and infinities are taken."""
    names = [entry.name for entry in inputs]
    for name in [*names, *tensors]:
        if name not in tensors or name not in names:
            message = f"There is no '{name[:80]}'." if name in names else f"The model has no input '{name[:80]}'."
            problem = Problem(pointers.get(name, ""), message, expected=f"the inputs {', '.join(names[:10])}")
            raise InvalidInput("The inputs are not those of the model.", [problem])
    require_one_length(tensors)
    return [_encode_tensor(entry, tensors[entry.name], pointers[entry.name]) for entry in inputs]


def _encode_tensor(plan: ArrayInput, values: Array, pointer: str) -> Array:
    expected = f"numbers of shape (rows, {', '.join(map(str, plan.shape))})"
    if values.dtype.kind not in "iuf":
        raise InvalidInput(
            f"Input '{plan.name}' holds no numbers.", [Problem(pointer, "These are no numbers.", expected=expected)]
        )
    if values.shape[1:] != tuple(plan.shape):
        problem = Problem(pointer, "The tensor has the wrong shape.", f"shape {values.shape}", expected)
        raise InvalidInput(f"Input '{plan.name}' has the wrong shape.", [problem])
    return _encode_finite(plan, values, pointer, "", rules=TENSOR_RULES)


def _without_inputs(names: list[str], rows: list[Any], pointer: str) -> list[Problem]:
    """The rows that are no objects with every input."""
    problems: list[Problem] = []
    expected = f"an object with {', '.join(names[:10])}"
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            problems.append(Problem(f"{pointer}/{index}", "The model has several inputs.", shown(row), expected))
        elif row.keys() != set(names):
            wrong = next(name for name in [*names, *row] if name not in row or name not in names)
            message = f"The row has no '{wrong[:80]}'." if wrong in names else f"The model has no input '{wrong[:80]}'."
            problems.append(Problem(f"{pointer}/{index}", message, None, expected))
        if len(problems) == MAX_PROBLEMS:
            break
    return problems


def _encode(plan: ArrayInput, rows: list[Any], pointer: str, end: str, rules: Rules) -> Array:
    """``end``: where the numbers stand in a row."""
    values = _as_numbers(rows)
    if values is None or values.shape[1:] != tuple(plan.shape):
        raise _bad_rows(plan, rows, pointer, end)
    return _encode_finite(plan, values, pointer, end, rules)


def _encode_finite(plan: ArrayInput, values: Array, pointer: str, end: str, rules: Rules) -> Array:
    encoded = encode_array(plan, values)
    if not all_finite(encoded):
        is_bad = ~np.isfinite(encoded)
        if rules.takes_non_finite:
            is_bad &= np.isfinite(values).reshape(is_bad.shape)
        if is_bad.any():
            row = int(np.argwhere(is_bad)[0][0])
            message = "A number is not finite or too large."
            problem = Problem(f"{pointer}/{row}{end}", message, expected=f"finite {plan.dtype} numbers")
            raise InvalidInput(f"Row {row} holds a number that is not finite.", [problem])
    return encoded


def _as_numbers(values: Any) -> Array | None:
    """Nested lists as an array of numbers; None when they are ragged or hold anything else, booleans too."""
    if _holds_booleans(values):
        return None
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "iuf" else None


def _holds_booleans(values: Any) -> bool:
    """Whether numpy would quietly turn a boolean into a number; looks level by level, since lists may be nested deeply."""
    lists = [[values]]
    while lists:
        kinds = set(map(type, chain.from_iterable(lists)))
        if bool in kinds:
            return True
        lists = [item for item in chain.from_iterable(lists) if type(item) is list] if list in kinds else []
    return False


def _bad_rows(plan: ArrayInput, rows: list[Any], pointer: str, end: str) -> InvalidInput:
    expected = f"numbers of shape {tuple(plan.shape)}"
    problems = []
    for index, row in enumerate(rows):
        values, where = _as_numbers(row), f"{pointer}/{index}{end}"
        if values is None:
            problems.append(Problem(where, "The row is ragged or holds something else than numbers.", shown(row), expected))
        elif values.shape != tuple(plan.shape):
            problems.append(Problem(where, "The row has the wrong shape.", f"shape {values.shape}", expected))
        if len(problems) == MAX_PROBLEMS:
            break
    message = f"Every row must be {expected}."
    return InvalidInput(message, problems or [Problem(pointer, "The rows do not fit together.", None, expected)])
