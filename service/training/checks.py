"""Refuses what Keras would fit without a word and without sense: losses, outputs, metrics and targets that do not go together.

What an expert may mean is let through: ``tanh`` for targets within -1 and 1, a linear output with ``from_logits``, and the like.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import ArrayInput, Target
from service.infra.npy import release_pages
from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.compile import CompileSpec, MetricBase
from service.spec.definition import Definition
from service.spec.layers import (
    LSTM,
    ActivationLayer,
    BatchNormalization,
    Dropout,
    Embedding,
    Flatten,
    KernelLayer,
    LayerBase,
    LeakyReLU,
    ReLU,
    Softmax,
)
from service.training.examples import Array, Examples

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(YES_OR_NO + ONE_OF_SEVERAL, (0.0, 1.0)),
    "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0), "relu": (0.0, np.inf), "relu6": (0.0, 6.0),
    "softplus": (0.0, np.inf), "sparse_plus": (0.0, np.inf), "squareplus": (0.0, np.inf), "exponential": (0.0, np.inf),
    "log_sigmoid": (-np.inf, 0.0), "log_softmax": (-np.inf, 0.0),
}  # fmt: skip
"""What the outputs of an activation function lie between; functions that are not named have no such bounds."""
PASSING_ON = (Dropout, Flatten)
"""Layers that change no number, in use at least."""
RESHAPING = (Flatten,)
BLOCK_ROWS = 65_536


def check_examples(definition: Definition, compile_spec: CompileSpec, model: keras.Model, examples: Examples) -> None:
    """Raise InvalidInput, with the layer or column and the mend, where the parts of a fit do not go together."""
    layers = [_Layer(place, *pair) for place, pair in enumerate(zip(definition.layers, model.layers, strict=True))]
    _check_softmax_axes(layers)
    _check_last_layer(layers, compile_spec, examples)
    _check_embeddings(layers, examples)
    _check_metrics(compile_spec, examples)
    _check_weights(examples)


class _Layer(NamedTuple):
    """A layer of the definition, and what Keras has made of it."""

    place: int
    spec: LayerBase
    built: keras.layers.Layer

    def refused(self, message: str, received: Any, fix: str) -> InvalidInput:
        """The error that points at this layer."""
        pointer = f"/definition/layers/{self.place}"
        return InvalidInput(f"{message} {fix}", [Problem(pointer, message, str(received)[:80], fix=fix)])

    @property
    def name(self) -> str:
        """Its name, with Keras's choice where the client made none."""
        return str(self.built.name)


# The last layer


def _check_softmax_axes(layers: list[_Layer]) -> None:
    for layer in layers:
        if isinstance(layer.spec, Softmax) and layer.spec.axis in (0, -len(layer.built.output.shape)):
            message = f"Layer '{layer.name}' has axis={layer.spec.axis}, so its outputs add up to 1 over the rows of a batch."
            raise layer.refused(message, layer.spec.axis, "Leave axis out.")


def _check_last_layer(layers: list[_Layer], compile_spec: CompileSpec, examples: Examples) -> None:
    layer = next((layer for layer in reversed(layers) if not isinstance(layer.spec, PASSING_ON)), layers[0])
    activation = _activation_of(layer.spec)
    if activation is None:
        return
    if activation in ONE_OF_SEVERAL and layer.built.output.shape[-1] == 1:
        message = f"Layer '{layer.name}' is a {activation} of a single unit, which always answers 1."
        raise layer.refused(message, f"{activation} of 1 unit", "Use sigmoid for yes or no, or one unit per class.")
    if examples.target.classes is None and examples.target.labels is None:
        _check_range(layer, activation, examples)
    elif compile_spec.loss.type.endswith("Crossentropy"):
        _check_probabilities(layer, activation, compile_spec.loss.type, examples.target)


def _activation_of(layer: LayerBase) -> str | None:
    """The name of the function that a layer ends with; None where it is not known."""
    match layer:
        case KernelLayer() | ActivationLayer():
            return layer.activation or "linear"
        case LSTM():
            return layer.activation if layer.activation == "tanh" else None
        case Softmax():
            return "softmax"
        case ReLU():
            return "linear" if layer.negative_slope else "relu"
        case LeakyReLU() | BatchNormalization():
            return "linear"
    return None


def _check_probabilities(layer: _Layer, activation: str, loss: str, target: Target) -> None:
    wanted = "sigmoid" if _is_yes_or_no(target) else "softmax"
    if target.from_logits:
        _check_logits(layer, activation, loss, target)
    elif activation not in YES_OR_NO + ONE_OF_SEVERAL:
        message = f"Loss {loss} wants probabilities, but layer '{layer.name}' ends with {activation}."
        raise layer.refused(message, activation, f"Give it the activation {wanted}, or set from_logits to true in the loss.")
    elif activation in YES_OR_NO and not _is_yes_or_no(target):
        message = f"Loss {loss} wants probabilities that add up to 1, but layer '{layer.name}' ends with {activation}."
        raise layer.refused(message, activation, "Give it the activation softmax.")


def _is_yes_or_no(target: Target) -> bool:
    """Whether each output answers a question of its own."""
    return target.encoding == "binary" or target.labels is not None


def _check_logits(layer: _Layer, activation: str, loss: str, target: Target) -> None:
    fix = "Leave out from_logits, or let the last layer have no activation."
    if activation in YES_OR_NO + ONE_OF_SEVERAL:
        message = (
            f"Loss {loss} has from_logits=true, but layer '{layer.name}' ends with {activation}, so its outputs are no logits."
        )
        raise layer.refused(message, activation, fix)
    low, high = RANGES.get(activation, (-np.inf, np.inf))
    if _is_yes_or_no(target) and (low >= 0 or high <= 0):
        message = (
            f"Layer '{layer.name}' ends with {activation}: its logits have one sign only, so it always answers the same class."
        )
        raise layer.refused(message, activation, "Let it have no activation.")


def _check_range(layer: _Layer, activation: str, examples: Examples) -> None:
    low, high = RANGES.get(activation, (-np.inf, np.inf))
    if isinstance(layer.spec, ReLU):
        high = layer.spec.max_value or high
    least, most = _extremes(examples.train.y)
    if least < low or most > high:
        message = (
            f"Target '{examples.target.name}' goes from {least:.4g} to {most:.4g}, but layer '{layer.name}' ends with "
            f"{activation}, which answers only from {low:g} to {high:g}."
        )
        raise layer.refused(message, activation, "Leave the last activation out, or scale the target.")


# Embeddings


def _check_embeddings(layers: list[_Layer], examples: Examples) -> None:
    """An index beyond ``input_dim`` ends a fit on a CPU in its midst, and is taken for zeros on a GPU; 1.7 is taken for 1."""
    for place, layer in enumerate(layers):
        if isinstance(layer.spec, Embedding):
            before = [other for other in layers[:place] if not isinstance(other.spec, RESHAPING)]
            if before:
                message = f"Layer '{layer.name}' takes whole numbers, but it comes after '{before[-1].name}', which answers any."
                raise layer.refused(message, type(before[-1].spec).__name__, "Let the Embedding be the first layer.")
            _check_indices(layer, layer.spec, examples)


def _check_indices(layer: _Layer, spec: Embedding, examples: Examples) -> None:
    parts = [examples.train.x, *([examples.validation.x] if examples.validation else [])]
    if not all((block == np.floor(block)).all() for part in parts for block in _blocks(part)):
        fix = "Use whole numbers from 0 on."
        if not isinstance(examples.plan.input, ArrayInput):
            fix = 'Encode the columns with {"type": "category", "encoding": "index"}, or {"type": "number", "scale": "none"}.'
        raise layer.refused(f"Layer '{layer.name}' takes whole numbers, and the data has others.", "fractions", fix)
    extremes = [_extremes(part) for part in parts]
    least, most = min(low for low, _ in extremes), max(high for _, high in extremes)
    if least < 0 or most >= spec.input_dim:
        message = (
            f"Layer '{layer.name}' has input_dim={spec.input_dim}, so it takes indices from 0 to "
            f"{spec.input_dim - 1}. The data has {least:g} to {most:g}."
        )
        raise layer.refused(
            message, spec.input_dim, f"Set input_dim to {int(most) + 1}." if least >= 0 else "Use indices from 0 on."
        )


# Metrics


GOES_WITH: dict[str, tuple[str, ...]] = {
    "accuracy": ("binary", "index", "one_hot", "zeros and ones"),
    "BinaryAccuracy": ("binary", "one_hot", "zeros and ones"),
    "CategoricalAccuracy": ("one_hot", "rows of zeros and ones"),
    "SparseCategoricalAccuracy": ("index",),
    **dict.fromkeys(("AUC", "Precision", "Recall"), ("binary", "one_hot", "zeros and ones")),
    **dict.fromkeys(("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError"), ("binary", "one_hot", "number")),
}
"""The encodings of the target with which a metric says something; with others Keras answers nonsense or fails at once."""
USUAL = {"binary": "BinaryAccuracy", "index": "SparseCategoricalAccuracy", "one_hot": "CategoricalAccuracy"}
"""The metric to use instead, by the target's encoding."""
OF_PROBABILITIES = ("accuracy", "BinaryAccuracy", "Precision", "Recall")


def _check_metrics(compile_spec: CompileSpec, examples: Examples) -> None:
    for place, metric in enumerate(compile_spec.metrics):
        goes_with = GOES_WITH.get(metric.type)
        if goes_with is not None and not set(goes_with).intersection(_descriptions(goes_with, examples)):
            _refuse_metric(place, metric, *_mismatch(metric, examples.target))
        if examples.target.classes is not None:
            _check_metric_of_logits(place, metric, examples.target)


def _descriptions(goes_with: tuple[str, ...], examples: Examples) -> Iterator[str]:
    """What can be said of the target; its numbers are only looked at where that matters."""
    yield examples.target.encoding
    if examples.target.encoding == "number" and any("zeros and ones" in words for words in goes_with):
        y = examples.train.y
        if all(((block == 0) | (block == 1)).all() for block in _blocks(y)):
            yield "rows of zeros and ones" if y.shape[1:] != (1,) else "zeros and ones"
            yield "zeros and ones"


def _mismatch(metric: MetricBase, target: Target) -> tuple[str, str]:
    words = {"number": "numbers", "binary": "yes or no, as 0 and 1", "index": "places of classes", "one_hot": "one-hot rows"}
    message = f"Metric {metric.type} says nothing about target '{target.name}', which is {words[target.encoding]}."
    return message, f"Use {USUAL.get(target.encoding, 'MeanAbsoluteError')}, or leave it out."


def _check_metric_of_logits(place: int, metric: MetricBase, target: Target) -> None:
    """Keras compares with thresholds of probabilities, whatever the loss says about the outputs."""
    if metric.type == "AUC" and bool(getattr(metric, "from_logits", False)) != target.from_logits:
        received, wanted = ("probabilities", "false") if not target.from_logits else ("logits", "true")
        message = f"Metric AUC takes the outputs for something else than they are: the loss says that they are {received}."
        _refuse_metric(place, metric, message, f"Set from_logits to {wanted} in AUC.")
    is_thresholded = metric.type in OF_PROBABILITIES and not (metric.type == "accuracy" and target.encoding != "binary")
    threshold = getattr(metric, "threshold", getattr(metric, "thresholds", None))
    if is_thresholded and target.from_logits and threshold != 0:
        message = f"Metric {metric.type} counts an output from 0.5 on as yes, but the outputs are logits, where yes begins at 0."
        fix = "Use BinaryAccuracy with threshold 0." if "ccuracy" in metric.type else "Set its thresholds to 0."
        _refuse_metric(place, metric, message, fix)


def _refuse_metric(place: int, metric: MetricBase, message: str, fix: str) -> None:
    raise InvalidInput(f"{message} {fix}", [Problem(f"/compile/metrics/{place}", message, metric.type, fix=fix)])


# Weights of rows


def _check_weights(examples: Examples) -> None:
    weights = examples.train.sample_weight
    if weights is not None and _extremes(weights)[1] == 0:
        message = "Every training row has weight 0, so nothing would be learnt."
        fix = "Give some rows a weight above 0 in sample_weight or class_weight."
        raise InvalidInput(f"{message} {fix}", [Problem("/fit", message, "0", fix=fix)])


def _extremes(values: Array) -> tuple[float, float]:
    extremes = [(float(block.min()), float(block.max())) for block in _blocks(values)]
    return min(low for low, _ in extremes), max(high for _, high in extremes)


def _blocks(values: Array) -> Iterator[Array]:
    """A bounded number of rows at a time, of which nothing stays in memory."""
    for start in range(0, len(values), BLOCK_ROWS):
        yield values[start : start + BLOCK_ROWS]
        release_pages([values])
