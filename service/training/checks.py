"""Refuses what Keras would fit without a word and without sense: losses, outputs, metrics and targets that do not go together.

What an expert may mean is let through: ``tanh`` for targets within -1 and 1, a linear output with ``from_logits``, and the like.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.spec.activations import ONE_OF_SEVERAL
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.endings import RESHAPING, Ending, Known, endings_of, pointer_to
from service.spec.graph import Graph, Step
from service.spec.layers import Embedding, LayerBase, Softmax
from service.spec.layers.fields import everywhere
from service.spec.layers.images import TRAINING_ONLY
from service.spec.layers.merging import Concatenate
from service.spec.layers.models import NestedModel
from service.spec.layers.preprocessing import Discretization
from service.training.examples import Examples
from service.training.loss_checks import check_ending, check_loss
from service.training.metric_checks import check_metrics
from service.training.structure import as_list, one_or_list
from service.training.truths import Output, are_whole, extremes


def check_examples(definition: Definition, compile_spec: CompileSpec, model: keras.Model, examples: Examples) -> None:
    """Raise InvalidInput, with the layer or column and the mend, where the parts of a fit do not go together."""
    layers = _layers_of(definition, model)
    _check_softmax_axes(layers)
    _check_training_only(definition, model, examples)
    for output in _outputs_of(definition, compile_spec, examples):
        if output.ending is not None:
            name = _name_of(output.ending, layers)
            _check_single_unit(output.ending, name, layers)
            check_ending(output, output.ending, name)
        check_loss(output)
        check_metrics(output)
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


def _layers_of(definition: Definition, model: keras.Model) -> list[_Layer]:
    built = [model.get_layer(spec.name) for spec in definition.layers] if definition.is_functional else model.layers
    return [
        _Layer(place, spec, layer.name, tuple(keras.tree.flatten(layer._inbound_nodes[0].output_tensors)[0].shape))
        for place, (spec, layer) in enumerate(zip(definition.layers, built, strict=True))
    ]


def _outputs_of(definition: Definition, compile_spec: CompileSpec, examples: Examples) -> Iterator[Output]:
    losses = compile_spec.losses(definition.output_names)
    endings: list[Known] = endings_of(definition.graph)
    for number, (target, ending) in enumerate(zip(examples.targets, endings, strict=True)):
        metrics = [
            (compile_spec.metric_pointer(target.output, place), metric)
            for place, metric in enumerate(compile_spec.metrics_of(target.output))
        ]
        truths = tuple(part.targets[number] for part in examples.parts)
        yield Output(target, truths, losses[target.output], compile_spec.loss_pointer(target.output), metrics, ending)


# The last layers


def _name_of(ending: Ending, layers: list[_Layer]) -> str:
    """What the layer is called that decides what an output's numbers are like."""
    outermost = layers[int(ending.path[1])]
    return outermost.name if ending.layer is outermost.spec else ending.layer.name or outermost.name


def _check_softmax_axes(layers: list[_Layer]) -> None:
    for layer in layers:
        if isinstance(layer.spec, Softmax) and {0, -len(layer.shape)} & set(_axes_of(layer.spec)):
            message = f"Layer '{layer.name}' has axis={layer.spec.axis}, so its outputs add up to 1 over the rows of a batch."
            raise layer.refused(message, layer.spec.axis, "Leave axis out.")


def _check_training_only(definition: Definition, model: keras.Model, examples: Examples) -> None:
    """A layer that leaves images as they are in use may only do so where the model answers as it has learnt to."""
    found = [(path, layer) for path, layer in everywhere(definition.layers) if layer.type in TRAINING_ONLY]
    for path, layer in found:
        consequence, fix = TRAINING_ONLY[layer.type]
        if layer.type != "RandomCrop" or not _takes_whole_images(model, examples):
            message = f"Layer '{layer.name or layer.type}' leaves images as they are in predictions, {consequence}."
            raise InvalidInput(f"{message} {fix}", [Problem(pointer_to(path), message, layer.type, fix=fix)])


def _takes_whole_images(model: keras.Model, examples: Examples) -> bool:
    """Whether a prediction has the shape that the layers say: Keras lets a model be built whose predictions fail."""
    row = [np.ascontiguousarray(array[:1]) for array in examples.train.inputs]
    try:
        answers = as_list(model(one_or_list(row), training=False))
    except Exception:  # Keras and TensorFlow raise anything where shapes do not fit
        return False
    return all(answer.shape[1:] == output.shape[1:] for answer, output in zip(answers, model.outputs, strict=True))


def _check_single_unit(ending: Ending, name: str, layers: list[_Layer]) -> None:
    if ending.function in ONE_OF_SEVERAL and _added_up(ending, layers) == 1:
        message = f"Layer '{name}' is a {ending.function} of a single unit, which always answers 1."
        fix = "Use sigmoid for yes or no, or one unit per class."
        raise InvalidInput(f"{message} {fix}", [Problem(ending.pointer, message, f"{ending.function} of 1 unit", fix=fix)])


def _added_up(ending: Ending, layers: list[_Layer]) -> int | None:
    """How many numbers a softmax makes add up to 1; None where that is not known."""
    outermost = layers[int(ending.path[1])]
    if ending.layer is not outermost.spec:
        return getattr(ending.layer, "units", getattr(ending.layer, "filters", None))
    sizes = [outermost.shape[axis] for axis in _axes_of(ending.layer)]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _axes_of(layer: LayerBase) -> list[int]:
    axis = layer.axis if isinstance(layer, Softmax) else -1
    return axis if isinstance(axis, list) else [axis]


# Embeddings


def _check_embeddings(definition: Definition, layers: list[_Layer], examples: Examples) -> None:
    """An index beyond ``input_dim`` ends a fit on a CPU in its midst, and is taken for zeros on a GPU; 1.7 is taken for 1."""
    sources: list[_Source] = [(number,) for number in range(len(definition.input_names))]
    for place, spec, source in _embeddings_in(definition.graph, sources):
        layer = layers[place]._replace(spec=spec, name=spec.name or layers[place].name)
        if isinstance(source, Discretization):
            _check_reach(layer, spec, f"layer '{source.name or source.type}'", 0, len(source.bin_boundaries))
        elif isinstance(source, LayerBase):
            message = (
                f"Layer '{layer.name}' takes whole numbers, but it comes after '{source.name or source.type}', which answers any."
            )
            raise layer.refused(message, source.name or source.type, "Let the Embedding be the first layer.")
        else:
            _check_indices(layer, spec, examples, source)


_Source = tuple[int, ...] | LayerBase
"""Where numbers come from: inputs as they are, by their numbers, or a layer that has changed them."""


def _embeddings_in(graph: Graph, sources: list[_Source]) -> list[tuple[int, Embedding, _Source]]:
    """Every Embedding, those in models inside included, with the place of the outermost layer and what goes into it."""
    found: list[tuple[int, Embedding, _Source]] = []

    def compute(step: Step, inbound: list[_Source]) -> list[_Source]:
        layer = step.layer
        if layer.type in RESHAPING:
            return inbound
        if isinstance(layer, Concatenate) and all(isinstance(source, tuple) for source in inbound):
            return [tuple(number for source in inbound if isinstance(source, tuple) for number in source)]
        if isinstance(layer, Embedding):
            found.append((step.place, layer, inbound[0]))
        elif isinstance(layer, NestedModel):
            found.extend((step.place, spec, source) for _, spec, source in _embeddings_in(layer.graph, inbound))
        changed: LayerBase = layer
        return [changed] * layer.output_count

    graph.follow(sources, compute)
    return found


def _check_indices(layer: _Layer, spec: Embedding, examples: Examples, numbers: tuple[int, ...]) -> None:
    arrays = [part.inputs[number] for part in examples.parts for number in numbers]
    if not all(map(are_whole, arrays)):
        fix = "Use whole numbers from 0 on."
        if examples.plan.is_of_table:
            fix = 'Encode the columns with {"type": "category", "encoding": "index"}, or {"type": "number", "scale": "none"}.'
        raise layer.refused(f"Layer '{layer.name}' takes whole numbers, and the data has others.", "fractions", fix)
    found = [extremes(array) for array in arrays]
    _check_reach(layer, spec, "the data", min(low for low, _ in found), max(high for _, high in found))


def _check_reach(layer: _Layer, spec: Embedding, whose: str, least: float, most: float) -> None:
    if least < 0 or most >= spec.input_dim:
        message = (
            f"Layer '{layer.name}' has input_dim={spec.input_dim}, so it takes indices from 0 to "
            f"{spec.input_dim - 1}. {whose[0].upper()}{whose[1:]} has {least:g} to {most:g}."
        )
        raise layer.refused(
            message, spec.input_dim, f"Set input_dim to {int(most) + 1}." if least >= 0 else "Use indices from 0 on."
        )


# Weights of rows


def _check_weights(examples: Examples) -> None:
    weights = examples.train.sample_weight
    if weights is not None and extremes(weights)[1] == 0:
        message = "Every training row has weight 0, so nothing would be learnt."
        fix = "Give some rows a weight above 0 in sample_weight or class_weight."
        raise InvalidInput(f"{message} {fix}", [Problem("/fit", message, "0", fix=fix)])
