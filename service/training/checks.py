"""Refuses what Keras would fit without a word and without sense: a loss, an output and a target that do not go together."""

from typing import Any

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import Target
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.layers import ActivationLayer, Embedding, KernelLayer, LayerBase, Softmax
from service.training.examples import Array, Examples

RANGES: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0), "relu": (0.0, np.inf), "relu6": (0.0, 6.0), "softplus": (0.0, np.inf), "exponential": (0.0, np.inf),
}  # fmt: skip
"""What the outputs of an activation function lie between; functions that are not named have no such bounds."""
PROBABILITIES = ("sigmoid", "hard_sigmoid", "softmax", "sparsemax")
BLOCK_ROWS = 65_536


def check_examples(definition: Definition, compile_spec: CompileSpec, model: keras.Model, examples: Examples) -> None:
    """Raise InvalidInput, with the layer or column and the mend, where the parts of a fit do not go together."""
    _check_last_layer(definition, compile_spec, model, examples)
    _check_embedding(definition, model, examples)


def _check_last_layer(definition: Definition, compile_spec: CompileSpec, model: keras.Model, examples: Examples) -> None:
    place = len(definition.layers) - 1
    layer, name = definition.layers[place], model.layers[-1].name
    activation = _activation_of(layer)
    if activation is None:
        return
    if activation == "softmax" and model.output_shape[-1] == 1:
        message = f"Layer '{name}' is a softmax of a single unit, which always answers 1."
        raise _refused(place, message, "softmax of 1 unit", "Use sigmoid for yes or no, or one unit per class.")
    target = examples.target
    if target.classes is None:
        _check_range(place, name, activation, target, examples)
    else:
        _check_probabilities(place, name, activation, compile_spec, target)


def _check_probabilities(place: int, name: str, activation: str, compile_spec: CompileSpec, target: Target) -> None:
    loss = compile_spec.loss.type
    if target.from_logits and activation in PROBABILITIES:
        message = f"Loss {loss} has from_logits=true, but layer '{name}' ends with {activation}, so its outputs are no logits."
        raise _refused(place, message, activation, "Leave out from_logits, or let the last layer have no activation.")
    if not target.from_logits and activation not in PROBABILITIES:
        wanted = "sigmoid" if target.encoding == "binary" else "softmax"
        message = f"Loss {loss} wants probabilities, but layer '{name}' ends with {activation}."
        raise _refused(place, message, activation, f"Give it the activation {wanted}, or set from_logits to true in the loss.")
    if (
        target.encoding != "binary"
        and activation in ("sigmoid", "hard_sigmoid")
        and compile_spec.loss.type != "BinaryCrossentropy"
    ):
        message = f"Loss {loss} wants probabilities that add up to 1, but layer '{name}' ends with {activation}."
        raise _refused(place, message, activation, "Give it the activation softmax.")


def _check_range(place: int, name: str, activation: str, target: Target, examples: Examples) -> None:
    low, high = RANGES.get(activation, (-np.inf, np.inf))
    least, most = _extremes(examples.train.y)
    if least < low or most > high:
        message = (
            f"Target '{target.name}' goes from {least:.4g} to {most:.4g}, but layer '{name}' ends with {activation}, "
            f"which answers only from {low:g} to {high:g}."
        )
        raise _refused(place, message, activation, "Leave the last activation out, or scale the target.")


def _check_embedding(definition: Definition, model: keras.Model, examples: Examples) -> None:
    """An index beyond ``input_dim`` ends a fit on a CPU in its midst, and is taken for zeros on a GPU."""
    layer = definition.layers[0]
    if not isinstance(layer, Embedding):
        return
    parts = [examples.train, *([examples.validation] if examples.validation else [])]
    extremes = [_extremes(part.x) for part in parts]
    least, most = min(low for low, _ in extremes), max(high for _, high in extremes)
    if least < 0 or most >= layer.input_dim:
        message = (
            f"Layer '{model.layers[0].name}' has input_dim={layer.input_dim}, so it takes indices from 0 to "
            f"{layer.input_dim - 1}. The data has {least:g} to {most:g}."
        )
        fix = f"Set input_dim to {int(most) + 1}." if least >= 0 else "Use indices from 0 on."
        raise _refused(0, message, str(layer.input_dim), fix)


def _activation_of(layer: LayerBase) -> str | None:
    """The name of the function that a layer ends with; None for a layer that only passes on what it gets."""
    if isinstance(layer, KernelLayer | ActivationLayer):
        return layer.activation or "linear"
    return "softmax" if isinstance(layer, Softmax) else None


def _extremes(values: Array) -> tuple[float, float]:
    blocks = [values[start : start + BLOCK_ROWS] for start in range(0, len(values), BLOCK_ROWS)]
    return min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)


def _refused(place: int, message: str, received: Any, fix: str) -> InvalidInput:
    return InvalidInput(f"{message} {fix}", [Problem(f"/definition/layers/{place}", message, str(received), fix=fix)])
