"""Refuses what Keras would fit without a word and without sense: losses, outputs, metrics and targets that do not go together.

What an expert may mean is let through: ``tanh`` for targets within -1 and 1, a linear output with ``from_logits``, and the like.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import Target
from service.infra.npy import release_pages
from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.compile import CompileSpec, LossBase, MetricBase
from service.spec.definition import Definition
from service.spec.graph import Graph, Step
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
from service.spec.layers.models import NestedModel
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
    layers = _layers_of(definition, model)
    _check_softmax_axes(layers)
    for number, output in enumerate(_outputs_of(definition, compile_spec, examples)):
        layer = _last_layer(definition.graph, number, layers)
        if layer is not None:
            _check_last_layer(layer, output)
        _check_metrics(output)
    _check_embeddings(definition, layers, examples)
    _check_weights(examples)


class _Layer(NamedTuple):
    """A layer of the definition, and what Keras has made of it."""

    place: int
    spec: LayerBase
    name: str
    """Its name, with Keras's choice where the client made none."""
    shape: tuple[int | None, ...]
    """Shape of what its first call gives, with the batch axis."""

    def refused(self, message: str, received: Any, fix: str) -> InvalidInput:
        """The error that points at this layer."""
        pointer = f"/definition/layers/{self.place}"
        return InvalidInput(f"{message} {fix}", [Problem(pointer, message, str(received)[:80], fix=fix)])


class _Output(NamedTuple):
    """What an output shall learn, and what it is measured by."""

    target: Target
    truth: Array
    """The encoded truth of the training rows."""
    loss: LossBase
    metrics: list[tuple[str, MetricBase]]
    """Each with its place in the document."""


def _layers_of(definition: Definition, model: keras.Model) -> list[_Layer]:
    built = [model.get_layer(spec.name) for spec in definition.layers] if definition.is_functional else model.layers
    return [
        _Layer(place, spec, layer.name, tuple(keras.tree.flatten(layer._inbound_nodes[0].output_tensors)[0].shape))
        for place, (spec, layer) in enumerate(zip(definition.layers, built, strict=True))
    ]


def _outputs_of(definition: Definition, compile_spec: CompileSpec, examples: Examples) -> Iterator[_Output]:
    losses = compile_spec.losses(definition.output_names)
    for target, truth in zip(examples.targets, examples.train.targets, strict=True):
        metrics = [
            (compile_spec.metric_pointer(target.output, place), metric)
            for place, metric in enumerate(compile_spec.metrics_of(target.output))
        ]
        yield _Output(target, truth, losses[target.output], metrics)


# The last layers


def _last_layer(graph: Graph, number: int, layers: list[_Layer]) -> _Layer | None:
    """The layer that decides what an output's numbers are like; None where that is not clear."""
    step = graph.before(graph.outputs[number])
    while step is not None and isinstance(step.layer, PASSING_ON):
        earlier = graph.before(step.inbound[0])
        if earlier is None:
            break
        step = earlier
    return None if step is None or step.layer.output_count > 1 else layers[step.place]


def _check_softmax_axes(layers: list[_Layer]) -> None:
    for layer in layers:
        if isinstance(layer.spec, Softmax) and layer.spec.axis in (0, -len(layer.shape)):
            message = f"Layer '{layer.name}' has axis={layer.spec.axis}, so its outputs add up to 1 over the rows of a batch."
            raise layer.refused(message, layer.spec.axis, "Leave axis out.")


def _check_last_layer(layer: _Layer, output: _Output) -> None:
    activation = _activation_of(layer.spec)
    if activation is None:
        return
    if activation in ONE_OF_SEVERAL and layer.shape[-1] == 1:
        message = f"Layer '{layer.name}' is a {activation} of a single unit, which always answers 1."
        raise layer.refused(message, f"{activation} of 1 unit", "Use sigmoid for yes or no, or one unit per class.")
    if output.target.classes is None and output.target.labels is None:
        _check_range(layer, activation, output)
    elif output.loss.type.endswith("Crossentropy"):
        _check_probabilities(layer, activation, output.loss.type, output.target)


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


def _check_range(layer: _Layer, activation: str, output: _Output) -> None:
    low, high = RANGES.get(activation, (-np.inf, np.inf))
    if isinstance(layer.spec, ReLU):
        high = layer.spec.max_value or high
    least, most = _extremes(output.truth)
    if least < low or most > high:
        message = (
            f"Target '{output.target.name}' goes from {least:.4g} to {most:.4g}, but layer '{layer.name}' ends with "
            f"{activation}, which answers only from {low:g} to {high:g}."
        )
        raise layer.refused(message, activation, "Leave the last activation out, or scale the target.")


# Embeddings


def _check_embeddings(definition: Definition, layers: list[_Layer], examples: Examples) -> None:
    """An index beyond ``input_dim`` ends a fit on a CPU in its midst, and is taken for zeros on a GPU; 1.7 is taken for 1."""
    sources: list[_Source] = list(range(len(definition.input_names)))
    for place, spec, source in _embeddings_in(definition.graph, sources):
        layer = layers[place]._replace(spec=spec, name=spec.name or layers[place].name)
        if isinstance(source, str):
            message = f"Layer '{layer.name}' takes whole numbers, but it comes after '{source}', which answers any."
            raise layer.refused(message, source, "Let the Embedding be the first layer.")
        _check_indices(layer, spec, examples, source)


_Source = int | str
"""Where numbers come from: an input as it is, by its number, or a layer that has changed them, by its name."""


def _embeddings_in(graph: Graph, sources: list[_Source]) -> list[tuple[int, Embedding, _Source]]:
    """Every Embedding, those in models inside included, with the place of the outermost layer and what goes into it."""
    found: list[tuple[int, Embedding, _Source]] = []

    def compute(step: Step, inbound: list[_Source]) -> list[_Source]:
        layer = step.layer
        if isinstance(layer, RESHAPING):
            return inbound
        if isinstance(layer, Embedding):
            found.append((step.place, layer, inbound[0]))
        elif isinstance(layer, NestedModel):
            found.extend((step.place, spec, source) for _, spec, source in _embeddings_in(layer.graph, inbound))
        return [layer.name or layer.type] * layer.output_count

    graph.follow(sources, compute)
    return found


def _check_indices(layer: _Layer, spec: Embedding, examples: Examples, number: int) -> None:
    parts = [examples.train.inputs[number], *([examples.validation.inputs[number]] if examples.validation else [])]
    if not all((block == np.floor(block)).all() for part in parts for block in _blocks(part)):
        fix = "Use whole numbers from 0 on."
        if examples.plan.is_of_table:
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


def _check_metrics(output: _Output) -> None:
    for pointer, metric in output.metrics:
        goes_with = GOES_WITH.get(metric.type)
        if goes_with is not None and not set(goes_with).intersection(_descriptions(goes_with, output)):
            _refuse_metric(pointer, metric, *_mismatch(metric, output.target))
        if output.target.classes is not None:
            _check_metric_of_logits(pointer, metric, output.target)


def _descriptions(goes_with: tuple[str, ...], output: _Output) -> Iterator[str]:
    """What can be said of the target; its numbers are only looked at where that matters."""
    yield output.target.encoding
    if output.target.encoding == "number" and any("zeros and ones" in words for words in goes_with):
        y = output.truth
        if all(((block == 0) | (block == 1)).all() for block in _blocks(y)):
            yield "rows of zeros and ones" if y.shape[1:] != (1,) else "zeros and ones"
            yield "zeros and ones"


def _mismatch(metric: MetricBase, target: Target) -> tuple[str, str]:
    words = {"number": "numbers", "binary": "yes or no, as 0 and 1", "index": "places of classes", "one_hot": "one-hot rows"}
    message = f"Metric {metric.type} says nothing about target '{target.name}', which is {words[target.encoding]}."
    return message, f"Use {USUAL.get(target.encoding, 'MeanAbsoluteError')}, or leave it out."


def _check_metric_of_logits(pointer: str, metric: MetricBase, target: Target) -> None:
    """Keras compares with thresholds of probabilities, whatever the loss says about the outputs."""
    if metric.type == "AUC" and bool(getattr(metric, "from_logits", False)) != target.from_logits:
        received, wanted = ("probabilities", "false") if not target.from_logits else ("logits", "true")
        message = f"Metric AUC takes the outputs for something else than they are: the loss says that they are {received}."
        _refuse_metric(pointer, metric, message, f"Set from_logits to {wanted} in AUC.")
    is_thresholded = metric.type in OF_PROBABILITIES and not (metric.type == "accuracy" and target.encoding != "binary")
    threshold = getattr(metric, "threshold", getattr(metric, "thresholds", None))
    if is_thresholded and target.from_logits and threshold != 0:
        message = f"Metric {metric.type} counts an output from 0.5 on as yes, but the outputs are logits, where yes begins at 0."
        fix = "Use BinaryAccuracy with threshold 0." if "ccuracy" in metric.type else "Set its thresholds to 0."
        _refuse_metric(pointer, metric, message, fix)


def _refuse_metric(pointer: str, metric: MetricBase, message: str, fix: str) -> None:
    raise InvalidInput(f"{message} {fix}", [Problem(pointer, message, metric.type, fix=fix)])


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
