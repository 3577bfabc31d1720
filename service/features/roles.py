"""Decides which columns or arrays go into which input of a model, and which are the targets of which output. Knows no values."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from service.errors import InvalidInput, Problem
from service.spec.base import suggest
from service.spec.features import TargetSpec

MAX_PROBLEMS = 20

Kind = Literal["table", "arrays"]


class Roles(NamedTuple):
    """Names of columns or arrays by the names of the model's inputs and outputs, in their order."""

    inputs: dict[str, list[str]]
    targets: dict[str, list[str]]

    @property
    def target_names(self) -> list[str]:
        """Every column or array that is a target."""
        return [name for names in self.targets.values() for name in names]


def assign_roles(
    kind: Kind,
    names: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    target: TargetSpec | None,
    wanted: Mapping[str, str | list[str]],
) -> Roles:
    """The role of each of a dataset's columns or arrays; ``wanted`` are those of inputs that the client has named.

    A single input takes all that is no target. Of several, those that have the name of a column or array take that, and
    a single one of the others takes the rest. Raises InvalidInput.
    """
    noun = "column" if kind == "table" else "array"
    targets = _find_targets(target, names, outputs, noun)
    others = [name for name in names if name not in {name for columns in targets.values() for name in columns}]
    _check_wanted(wanted, inputs, others, noun)
    if kind == "arrays":
        return Roles(_one_each(inputs, others, wanted), targets)
    return Roles(_columns_of(inputs, others, wanted), targets)


def _find_targets(target: TargetSpec | None, names: Sequence[str], outputs: Sequence[str], noun: str) -> dict[str, list[str]]:
    """The columns or arrays that each output shall predict. Raises InvalidInput."""
    if isinstance(target, dict):
        by_output = {name: [value] if isinstance(value, str) else value for name, value in target.items()}
        _check_outputs(by_output, outputs)
    elif len(outputs) == 1 and target is not None:
        by_output = {outputs[0]: [target] if isinstance(target, str) else target}
    elif len(outputs) > 1 and set(outputs) <= set(names):
        by_output = {name: [name] for name in outputs}
    else:
        raise _no_target(target, names, outputs, noun)
    problems = [
        Problem(
            "/target", f"There is no such {noun}.", name[:80], f"one of: {listed(names)}", suggest(name[:80], list(names)[:50])
        )
        for columns in by_output.values()
        for name in columns
        if name not in names
    ]
    if problems:
        raise InvalidInput(f"The dataset has no {noun} '{problems[0].received}'. {problems[0].fix}", problems[:MAX_PROBLEMS])
    _check_once(by_output, noun)
    return {name: by_output[name] for name in outputs}


def _check_outputs(by_output: Mapping[str, list[str]], outputs: Sequence[str]) -> None:
    problems = [
        Problem(f"/target/{name[:80]}", "The model has no such output.", name[:80], f"one of: {listed(outputs)}")
        for name in by_output
        if name not in outputs
    ]
    problems += [
        Problem("/target", f"Nothing says what output '{name}' shall predict.", expected="a target for each output")
        for name in outputs
        if name not in by_output
    ]
    if problems:
        raise InvalidInput(f"The targets are not those of the model. {problems[0].message}", problems[:MAX_PROBLEMS])


def _check_once(by_output: Mapping[str, list[str]], noun: str) -> None:
    for output, columns in by_output.items():
        doubled = [name for place, name in enumerate(columns) if name in columns[:place]]
        if doubled:
            message = f"Output '{output}' names the {noun} '{doubled[0][:80]}' twice."
            raise InvalidInput(message, [Problem("/target", message, doubled[0][:80])])
        if noun == "array" and len(columns) > 1:
            message = f"Output '{output}' names several arrays. Expected one."
            raise InvalidInput(message, [Problem("/target", message, listed(columns), "one array", "Put them into one array.")])


def _no_target(target: TargetSpec | None, names: Sequence[str], outputs: Sequence[str], noun: str) -> InvalidInput:
    if len(outputs) == 1:
        problem = Problem(
            "/target", "Nothing says what to predict.", "null", f"one of: {listed(names)}", f"Name a {noun} as target."
        )
        return InvalidInput(f"The run has no target: say which {noun} the model shall predict.", [problem])
    example = ", ".join(f'"{name}": "…"' for name in outputs[:3])
    fix = f'Name a {noun} for each output: "target": {{{example}}}.'
    message = f"The model has {len(outputs)} outputs ({listed(outputs)}), and each needs a target."
    received = "null" if target is None else str(target)[:80]
    return InvalidInput(f"{message} {fix}", [Problem("/target", message, received, "an object by output", fix)])


def _check_wanted(wanted: Mapping[str, str | list[str]], inputs: Sequence[str], others: Sequence[str], noun: str) -> None:
    problems = []
    for name, value in wanted.items():
        pointer = f"/features/inputs/{name[:80]}"
        if name not in inputs:
            problems.append(Problem(pointer, "The model has no such input.", name[:80], f"one of: {listed(inputs)}"))
        for column in [value] if isinstance(value, str) else value:
            if column not in others:
                fix = suggest(column[:80], list(others)[:50])
                problems.append(Problem(pointer, f"There is no such {noun} beside the targets.", column[:80], fix=fix))
        if noun == "array" and not isinstance(value, str) and len(value) > 1:
            problems.append(Problem(pointer, "An input takes one array.", listed(value), "one array"))
    if problems:
        raise InvalidInput(f"The inputs cannot be filled. {problems[0].message}", problems[:MAX_PROBLEMS])


def _columns_of(inputs: Sequence[str], others: Sequence[str], wanted: Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    found = {name: [value] if isinstance(value, str) else list(value) for name, value in wanted.items()}
    if len(inputs) > 1:
        found |= {name: [name] for name in inputs if name in others and name not in found}
    open_inputs = [name for name in inputs if name not in found]
    if len(open_inputs) > 1:
        raise _unclear(open_inputs, "columns", '["…", "…"]')
    taken = {column for columns in found.values() for column in columns}
    found |= {name: [column for column in others if column not in taken] for name in open_inputs}
    empty = [name for name in inputs if not found[name]]
    if empty and len(inputs) > 1:
        message = f"No column is left for the input '{empty[0]}'."
        raise InvalidInput(message, [Problem("/features/inputs", message, fix="Say which columns go into which input.")])
    return {name: found[name] for name in inputs}


def _one_each(inputs: Sequence[str], others: Sequence[str], wanted: Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    found = {name: value if isinstance(value, str) else value[0] for name, value in wanted.items()}
    found |= {name: name for name in inputs if name in others and name not in found}
    open_inputs = [name for name in inputs if name not in found]
    rest = [name for name in others if name not in found.values()]
    if len(open_inputs) == len(rest) == 1:
        found |= {open_inputs[0]: rest[0]}
    elif open_inputs and len(inputs) == 1:
        message = f"The dataset has {len(rest)} arrays beside the target. Expected one."
        fix = f'Name the one that goes in: "features": {{"inputs": {{"{inputs[0]}": "…"}}}}.' if rest else "Add one."
        problem = Problem("/dataset", "The model has one input.", listed(rest) or "no array", "one array beside the target", fix)
        raise InvalidInput(f"{message} {fix}", [problem])
    elif open_inputs:
        raise _unclear(open_inputs, "array", '"…"')
    return {name: [found[name]] for name in inputs}


def _unclear(open_inputs: Sequence[str], what: str, example: str) -> InvalidInput:
    message = f"Nothing says which {what} go{'es' if what == 'array' else ''} into the inputs {listed(open_inputs)}."
    entries = ", ".join(f'"{name}": {example}' for name in open_inputs[:3])
    fix = f'Name them: "features": {{"inputs": {{{entries}}}}}.'
    return InvalidInput(f"{message} {fix}", [Problem("/features/inputs", message, fix=fix)])


def names_in(target: TargetSpec | None) -> list[str]:
    """Every column or array that a target names."""
    if target is None:
        return []
    if isinstance(target, dict):
        return [name for value in target.values() for name in names_in(value)]
    return [target] if isinstance(target, str) else target


def as_written(targets: Mapping[str, list[str]]) -> TargetSpec:
    """The shortest way to say the same."""
    short: dict[str, str | list[str]] = {name: columns[0] if len(columns) == 1 else columns for name, columns in targets.items()}
    return next(iter(short.values())) if len(short) == 1 else short


def listed(values: Sequence[object]) -> str:
    """Some names in one line."""
    text = ", ".join(str(value)[:40] for value in values[:10])
    return f"{text}, …" if len(values) > 10 else text
