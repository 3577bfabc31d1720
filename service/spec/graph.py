"""How the layers of a model hang together: what goes into each call of a layer, and in which order they are computed.

A model whose layers stand in a row is the simplest graph. Knows no Keras.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field, StringConstraints, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.spec.base import suggest

T = TypeVar("T")

MAX_INPUTS = 64
"""Inputs of a model, inputs of a layer, and outputs of a model."""
MAX_CALLS = 64
"""Calls of one layer."""
DISTANCE_LIMIT = 900
"""Layers that may lie behind each other: Keras walks back from the outputs by recursion."""

Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}(:\d{1,3}){0,2}$")]
"""The output of a layer: its name, and the number of the call and of the output where there are several, e.g. ``shared:1``."""
Call = Annotated[list[Reference], Field(min_length=1, max_length=MAX_INPUTS)]
Inbound = Call | Annotated[list[Call], Field(min_length=1, max_length=MAX_CALLS)]


class Value(NamedTuple):
    """Something computed: output ``number`` of a step, or input ``number`` of the model where ``step`` is None."""

    step: int | None
    number: int = 0


class Step(NamedTuple):
    """One call of a layer."""

    place: int
    """Place of the layer in the definition."""
    layer: Any
    """The ``LayerBase``."""
    call: int
    """How many calls of the same layer there are before."""
    inbound: tuple[Value, ...]


class Needed(NamedTuple):
    """What something is computed from: numbers of inputs, and of steps."""

    inputs: set[int]
    steps: set[int]


@dataclass(frozen=True)
class Graph:
    """Every call of a model's layers, in the order in which they are computed."""

    inputs: int
    """Number of inputs."""
    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]

    def follow(self, inputs: Sequence[T], compute: Callable[[Step, list[T]], Sequence[T]]) -> list[T]:
        """What comes out, where ``compute`` gives the outputs of a step for what goes into it."""
        found: list[Sequence[T]] = []

        def value_of(value: Value) -> T:
            return inputs[value.number] if value.step is None else found[value.step][value.number]

        for step in self.steps:
            found.append(compute(step, list(map(value_of, step.inbound))))
        return list(map(value_of, self.outputs))

    def before(self, value: Value) -> Step | None:
        """The step that computes a value; None for an input of the model."""
        return None if value.step is None else self.steps[value.step]

    def needed_for(self, values: Iterable[Value]) -> "Needed":
        """What values are computed from."""
        inputs: set[int] = set()
        steps: set[int] = set()
        waiting = list(values)
        while waiting:
            step, number = waiting.pop()
            if step is None:
                inputs.add(number)
            elif step not in steps:
                steps.add(step)
                waiting += self.steps[step].inbound
        return Needed(inputs, steps)

    @cached_property
    def uses(self) -> dict[Value, int]:
        """How often each value goes into a step or out of the model."""
        counts: dict[Value, int] = {}
        for value in (*(value for step in self.steps for value in step.inbound), *self.outputs):
            counts[value] = counts.get(value, 0) + 1
        return counts


def in_a_row(layers: Sequence[Any]) -> Graph:
    """The graph of layers of which each is fed by the one before."""
    steps = tuple(Step(place, layer, 0, (Value(place - 1 if place else None),)) for place, layer in enumerate(layers))
    return Graph(1, steps, (Value(len(steps) - 1),))


def connect(inputs: Sequence[Any], layers: Sequence[Any], outputs: Sequence[str]) -> Graph:
    """The graph of layers that name what goes into them.

    Raises ValidationError with the place of the layer where a name is missing, doubled or unknown, the number of inputs is
    wrong, or layers go round in a circle.
    """
    _check_names(inputs, layers)
    wanted = _Wanted([entry.name for entry in inputs], layers)
    order = wanted.in_order()
    number_of = {key: number for number, key in enumerate(order)}
    steps = tuple(
        Step(place, layers[place], call, tuple(wanted.value(reference, number_of) for reference in wanted.calls[place, call]))
        for place, call in order
    )
    _check_distance(steps)
    found = []
    for place, reference in enumerate(outputs):
        source = wanted.find(reference, ("outputs", place))
        found.append(_value(source, number_of))
    if len(set(found)) < len(found):
        raise _refused(("outputs",), "doubled_output", "An output is named twice.", list(outputs))
    graph = Graph(len(inputs), steps, tuple(found))
    _check_all_are_needed(inputs, graph)
    return graph


class _Source(NamedTuple):
    place: int | None
    """Place of the layer; None for an input of the model."""
    call: int
    output: int


Key = tuple[int, int]
"""Place of a layer, and number of a call."""


class _Wanted:
    """What every call asks for."""

    def __init__(self, inputs: list[str], layers: Sequence[Any]) -> None:
        self._layers = layers
        self._places: dict[str, int | None] = dict.fromkeys(inputs)
        self._inputs = {name: number for number, name in enumerate(inputs)}
        self._places |= {layer.name: place for place, layer in enumerate(layers)}
        self.calls: dict[Key, list[str]] = {
            (place, call): names for place, layer in enumerate(layers) for call, names in enumerate(calls_of(layer))
        }
        for (place, call), names in self.calls.items():
            _check_count(place, call, layers[place], names)

    def in_order(self) -> list[Key]:
        """The calls in the order of the document, as far as each comes after what goes into it."""
        sorter: TopologicalSorter[Key] = TopologicalSorter()
        for (place, call), names in self.calls.items():
            sources = [self.find(name, ("layers", place, "inbound")) for name in names]
            earlier = [(place, call - 1)] if call else []
            sorter.add((place, call), *earlier, *((source.place, source.call) for source in sources if source.place is not None))
        try:
            sorter.prepare()
        except CycleError as error:
            raise self._circle(error.args[1]) from error
        order, ready = [], list(sorter.get_ready())
        heapq.heapify(ready)
        while ready:
            key = heapq.heappop(ready)
            order.append(key)
            sorter.done(key)
            for following in sorter.get_ready():
                heapq.heappush(ready, following)
        return order

    def find(self, reference: str, loc: tuple[str | int, ...]) -> _Source:
        """What a reference means. Raises ValidationError."""
        name, *numbers = reference.split(":")
        call, output = (*map(int, numbers), 0, 0)[:2]
        if name not in self._places:
            message = "There is no layer or input '{name}'. {suggestion}"
            known = {"name": name, "suggestion": suggest(name, list(self._places)[:50])}
            raise _refused(loc, "unknown_layer", message, reference, known)
        place = self._places[name]
        if place is None:
            calls, outputs = 1, 1
            source = _Source(None, 0, self._inputs[name])
        else:
            calls, outputs = len(calls_of(self._layers[place])), self._layers[place].output_count
            source = _Source(place, call, output)
        if call >= calls or output >= outputs:
            message = "'{reference}' asks for call {call} and output {output} of '{name}', which has {calls} and {outputs}."
            facts: dict[str, Any] = {
                "reference": reference,
                "call": call,
                "output": output,
                "name": name,
                "calls": calls,
                "outputs": outputs,
            }
            raise _refused(loc, "unknown_output", message + " Both count from 0.", reference, facts)
        return source

    def value(self, reference: str, number_of: dict[Key, int]) -> Value:
        """The value that a known reference means."""
        return _value(self.find(reference, ()), number_of)

    def _circle(self, keys: list[Key]) -> ValidationError:
        names = [self._layers[place].name for place, _ in keys]
        message = "The layers go round in a circle: {circle}. Let one of them take something else."
        return _refused(("layers", min(keys)[0], "inbound"), "circle", message, names, {"circle": " → ".join(names[:20])})


def calls_of(layer: Any) -> list[list[str]]:
    """The references of each call of a layer."""
    inbound = layer.inbound or []
    return inbound if inbound and isinstance(inbound[0], list) else [inbound]


def _value(source: _Source, number_of: dict[Key, int]) -> Value:
    if source.place is None:
        return Value(None, source.output)
    return Value(number_of[source.place, source.call], source.output)


def _check_names(inputs: Sequence[Any], layers: Sequence[Any]) -> None:
    seen: set[str] = set()
    for kind, entries in (("inputs", inputs), ("layers", layers)):
        for place, entry in enumerate(entries):
            if entry.name is None:
                message = "Every layer of a model with inputs needs a name, by which others take its output."
                raise _refused((kind, place, "name"), "nameless_layer", message, None)
            if entry.name in seen:
                message = "Another layer or input is named '{name}' too. Give it a name of its own."
                raise _refused((kind, place, "name"), "duplicate_layer_name", message, entry.name, {"name": entry.name})
            seen.add(entry.name)


def _check_count(place: int, call: int, layer: Any, names: list[str]) -> None:
    least, most = layer.input_counts
    if not least <= len(names) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        message = "'{name}' ({type}) takes {expected} input(s), and call {call} gives it {count}."
        facts = {"name": layer.name, "type": layer.type, "expected": expected, "call": call, "count": len(names)}
        raise _refused(("layers", place, "inbound"), "input_count", message, names, facts)


def _check_distance(steps: Sequence[Step]) -> None:
    distances: list[int] = []
    for step in steps:
        distances.append(1 + max((distances[value.step] for value in step.inbound if value.step is not None), default=0))
        if distances[-1] > DISTANCE_LIMIT:
            message = "More than {most} layers lie behind each other."
            raise _refused(("layers", step.place), "too_deep", message, distances[-1], {"most": DISTANCE_LIMIT})


def _check_all_are_needed(inputs: Sequence[Any], graph: Graph) -> None:
    """Keras would leave out, without a word, what leads to no output."""
    needed = graph.needed_for(graph.outputs)
    for number, step in enumerate(graph.steps):
        if number not in needed.steps:
            what = f"Call {step.call} of layer" if step.call else "Layer"
            message = "{what} '{name}' leads to no output. Leave it out, or let another layer take it."
            raise _refused(("layers", step.place), "dead_end", message, step.layer.name, {"what": what, "name": step.layer.name})
    for place, entry in enumerate(inputs):
        if place not in needed.inputs:
            message = "Nothing takes the input '{name}'. Leave it out, or name it in the 'inbound' of a layer."
            raise _refused(("inputs", place), "dead_end", message, entry.name, {"name": entry.name})


def _refused(
    loc: tuple[str | int, ...], kind: str, message: str, received: Any, facts: dict[str, Any] | None = None
) -> ValidationError:
    error = PydanticCustomError(kind, message, facts)
    return ValidationError.from_exception_data("Graph", [InitErrorDetails(type=error, loc=loc, input=received)])
