"""A model as a table of its layers: shapes, parameters, the parameters in words, and the memory that a fit needs.

The rows come from Keras where it has built the model, otherwise from arithmetic. Knows no Keras.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.errors import InvalidInput, Problem
from service.spec.base import snake_case
from service.spec.definition import Definition
from service.spec.graph import Step
from service.spec.optimizers import OptimizerBase
from service.spec.sizes import DoesNotFit, Row, Weight, at_least, frozen, size_of

BYTES_PER_NUMBER = 4
"""Weights and outputs are float32."""
COPIES = {
    "SGD": 0, "RMSprop": 1, "Adagrad": 1, "Lion": 1, "Adafactor": 1, "Muon": 1,
    "Adam": 2, "AdamW": 2, "Adamax": 2, "Adadelta": 2, "Nadam": 2, "Ftrl": 2, "Lamb": 2,
}  # fmt: skip
"""Numbers that an optimizer keeps for every trained weight; Adafactor and Muon a few more for some of them."""


@dataclass(frozen=True)
class LayerRow:
    """One layer of the table."""

    place: int
    """Place of the layer in the definition."""
    name: str
    type: str
    output: Row
    """What comes out of its first call."""
    weights: tuple[Weight, ...] | None
    """None where arithmetic has no rule for the layer."""
    numbers: int
    """Numbers that a row makes in all its calls."""

    @property
    def pointer(self) -> str:
        """Where it stands in the client's document."""
        return f"/definition/layers/{self.place}"

    @property
    def parameters(self) -> int:
        """Number of weights; at least so many where a length is not known."""
        return sum(at_least(weight.shape) for weight in self.weights or ())

    @property
    def is_exact(self) -> bool:
        """Whether every length is known."""
        return self.weights is not None and all(None not in weight.shape for weight in self.weights)

    @property
    def trained_parameters(self) -> int:
        """Those that ``fit`` changes."""
        return sum(at_least(weight.shape) for weight in self.weights or () if weight.is_trained)


@dataclass(frozen=True)
class Memory:
    """Bytes that a fit needs at one batch size; free lengths count as 1."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer + self.activations


def first_rows(definition: Definition, data_shapes: Sequence[Sequence[int | None] | None] | None) -> list[Row]:
    """The shape of one row of each input: the definition's, else the data's, else unknown."""
    known = definition.input_shapes
    shapes = [own or of_data for own, of_data in zip(known, data_shapes or [None] * len(known), strict=True)]
    return [Row() if shape is None else Row(tuple(shape), is_whole=True) for shape in shapes]


def estimate(definition: Definition, rows: Sequence[Row]) -> tuple[list[LayerRow], list[Problem]]:
    """The table by arithmetic, in the order of computing, and what does not fit; after that nothing is known."""
    table: dict[int, LayerRow] = {}
    names = layer_names(definition)

    def compute(step: Step, inbound: list[Row]) -> tuple[Row, ...]:
        place, layer = step.place, step.layer
        try:
            size = size_of(layer, *inbound)
        except DoesNotFit as error:
            pointer = f"/definition/layers/{place}"
            raise _Misfit(Problem(pointer, error.message, error.received, error.expected, error.fix)) from error
        if place in table:
            table[place] = replace(table[place], numbers=table[place].numbers + size.numbers)
        else:
            weights = size.weights if layer.trainable else frozen(size.weights)
            table[place] = LayerRow(place, names[place], layer.type, size.output, weights, size.numbers)
        return size.outputs

    try:
        definition.graph.follow(rows, compute)
    except _Misfit as misfit:
        return list(table.values()), [misfit.problem]
    return list(table.values()), []


class _Misfit(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def layer_names(definition: Definition) -> list[str]:
    """The name of each layer: the client's, else the one that Keras makes up."""
    counts: Counter[str] = Counter()
    names = []
    for layer in definition.layers:
        made_up = snake_case(layer.type)
        if layer.name is None:
            names.append(f"{made_up}_{counts[made_up]}" if counts[made_up] else made_up)
            counts[made_up] += 1
        else:
            names.append(layer.name)
    return names


def memory_of(table: Sequence[LayerRow], rows: Sequence[Row], optimizer: OptimizerBase | None, batch_size: int) -> Memory:
    """What a fit of this model needs beside its data, if all outputs are kept for the way back, as they are."""
    trained = sum(layer.trained_parameters for layer in table)
    outputs = sum(at_least(row.dims) for row in rows) + sum(layer.numbers for layer in table)
    return Memory(
        parameters=BYTES_PER_NUMBER * sum(layer.parameters for layer in table),
        gradients=BYTES_PER_NUMBER * trained,
        optimizer=BYTES_PER_NUMBER * trained * _copies(optimizer),
        activations=BYTES_PER_NUMBER * batch_size * outputs,
    )


def _copies(optimizer: OptimizerBase | None) -> int:
    if optimizer is None:
        return 0
    extra = ("momentum", "centered", "amsgrad") if optimizer.type in ("SGD", "RMSprop", "Adam", "AdamW") else ()
    options = [bool(getattr(optimizer, name, False)) for name in (*extra, "use_ema", "gradient_accumulation_steps")]
    return COPIES.get(optimizer.type, 2) + sum(options)


@dataclass(frozen=True)
class ModelLimits:
    """How large a model may be."""

    layers: int
    parameters: int
    activation_bytes: int


def size_problems(table: Sequence[LayerRow], memory: Memory, batch_size: int, limits: ModelLimits) -> list[Problem]:
    """What of a model is over the limits, with the layer that has most of it."""
    problems = []
    if len(table) > limits.layers:
        problems.append(Problem("/definition/layers", "There are too many layers.", str(len(table)), f"at most {limits.layers}"))
    parameters = sum(layer.parameters for layer in table)
    if parameters > limits.parameters:
        largest = max(table, key=lambda layer: layer.parameters)
        message = f"The model would have {parameters:,} parameters, most of them in layer '{largest.name}'."
        fix = "Use fewer units or filters, or make the data smaller before the first Dense layer."
        problems.append(Problem(largest.pointer, message, f"{parameters:,}", f"at most {limits.parameters:,}", fix))
    if memory.activations > limits.activation_bytes:
        message = f"The outputs of all layers would take {memory.activations:,} bytes for a batch of {batch_size}."
        fix = "Use a smaller batch_size, smaller inputs, or layers that make them smaller sooner."
        received, expected = f"{memory.activations:,} bytes", f"at most {limits.activation_bytes:,} bytes"
        problems.append(Problem("/definition/layers", message, received, expected, fix))
    return problems


def refuse_impossible(definition: Definition, limits: ModelLimits) -> None:
    """Raise InvalidInput where, whatever the data is, a layer cannot take what comes before it, or the model is too large.

    Too large are layers, parameters, or outputs for a single row, over the limits.
    """
    rows = first_rows(definition, None)
    table, misfits = estimate(definition, rows)
    if misfits:
        raise InvalidInput("The layers do not fit together.", definition.as_sent(misfits))
    problems = size_problems(table, memory_of(table, rows, None, 1), 1, limits)
    if problems:
        raise InvalidInput("The model is too large.", definition.as_sent(problems))


# Parameters in words


def in_words(layer_type: str, weights: Sequence[Weight] | None) -> str:
    """How the number of parameters comes about, e.g. ``25 neurons × 64 inputs + 25 biases``."""
    if weights is None:
        return "unknown"
    if not weights:
        return "none"
    if layer_type in ("Sequential", "Functional"):
        return "those of its layers"
    shapes = {weight.name: weight.shape for weight in weights}
    if layer_type == "Dense" and "kernel" in shapes:
        inputs, units = shapes["kernel"]
        return _sum(f"{_count(units, 'neuron')} × {_count(inputs, 'input')}", shapes)
    if layer_type in ("Conv1D", "Conv2D", "Conv3D") and "kernel" in shapes:
        *window, channels, filters = shapes["kernel"]
        return _sum(f"{_count(filters, 'filter')} × {_product(window)} × {_count(channels, 'channel')}", shapes)
    if layer_type == "Embedding" and "embeddings" in shapes:
        return f"{_count(shapes['embeddings'][0], 'vector')} × {_count(shapes['embeddings'][1], 'number')}"
    if layer_type in GATES and "recurrent_kernel" in shapes:
        return _recurrent_in_words(GATES[layer_type], shapes)
    return " + ".join(f"{_product(weight.shape)} {weight.name.replace('_', ' ')}" for weight in weights)


GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def _recurrent_in_words(gates: int, shapes: dict[str, tuple[int | None, ...]]) -> str:
    units = shapes["recurrent_kernel"][0]
    terms = [_count(shapes["kernel"][0], "input"), f"{_show(units)} from memory"]
    if "bias" in shapes:
        terms.append(_count(len(shapes["bias"]), "bias"))
    return (f"{gates} gates × " if gates > 1 else "") + f"{_count(units, 'unit')} × ({' + '.join(terms)})"


def _sum(words: str, shapes: dict[str, tuple[int | None, ...]]) -> str:
    return f"{words} + {_count(shapes['bias'][0], 'bias')}" if "bias" in shapes else words


def _count(number: int | None, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{_show(number)} {noun}{'es' if noun.endswith('s') else 's'}"


def _product(lengths: Sequence[int | None]) -> str:
    return " × ".join(_show(length) for length in lengths) or "1"


def _show(length: int | None) -> str:
    return "?" if length is None else f"{length:,}"
