"""Builds Keras objects from the typed definition. The client's own dictionaries never reach Keras."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import Target
from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import OUTPUT, Definition
from service.spec.graph import Graph, Step
from service.spec.layers.models import Functional, ModelInput, NestedModel, Sequential
from service.spec.sizes import agree
from service.training.structure import as_list, one_or_list

Shape = tuple[int | None, ...]

MODULES = {
    "keras.constraints": keras.constraints,
    "keras.initializers": keras.initializers,
    "keras.layers": keras.layers,
    "keras.losses": keras.losses,
    "keras.metrics": keras.metrics,
    "keras.optimizers": keras.optimizers,
    "keras.optimizers.schedules": keras.optimizers.schedules,
    "keras.regularizers": keras.regularizers,
}


def reset_keras(seed: int, dtype_policy: str = "float32") -> None:
    """Make Keras as new: nothing of an earlier job may show in the next one."""
    keras.utils.clear_session()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(dtype_policy)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    keras.utils.set_random_seed(seed)


def build_model(
    definition: Definition, data_shapes: Sequence[Shape], max_parameters: int, seed: int, dtype_policy: str = "float32"
) -> keras.Model:
    """The model, with its weights as the seed gives them; ``data_shapes`` are those of one encoded row of each input.

    Raises InvalidInput on a shape that is not the data's or on too many parameters, and whatever Keras raises.
    """
    shapes = input_shapes(definition, data_shapes)
    _check_parameters(count_parameters(definition, shapes), max_parameters)
    reset_keras(seed, dtype_policy)
    return as_model(definition, shapes)


def load_saved(path: Path, folder: Path, is_compiled: bool = True) -> keras.Model:
    """A saved model, with its optimizer where it is to be compiled.

    Keras knows a saved model by the end of its name, so it is given one in ``folder``.
    """
    named = folder / "saved.keras"
    named.symlink_to(path)
    try:
        return keras.saving.load_model(named, compile=is_compiled)
    finally:
        named.unlink()


def compile_model(model: keras.Model, spec: CompileSpec, steps_per_execution: int) -> None:
    """``model.compile`` with what the client chose."""
    arguments = spec.keras_arguments(output_names(model))
    model.compile(
        optimizer=as_keras(spec.optimizer),
        loss=as_keras(arguments.loss),
        loss_weights=arguments.loss_weights,
        metrics=as_keras(arguments.metrics),
        jit_compile=spec.jit_compile,
        steps_per_execution=steps_per_execution,
    )


def output_names(model: keras.Model) -> list[str]:
    """The names of a model's outputs; that of a Sequential has none of its own."""
    return [OUTPUT] if isinstance(model, keras.Sequential) else list(model.output_names)


def as_model(definition: Definition, shapes: Sequence[Shape]) -> keras.Model:
    """The layers behind inputs of these shapes."""
    if definition.inputs is None:
        return keras.Sequential([keras.Input(shapes[0]), *map(as_keras, definition.layers)])
    return _functional(definition.graph, definition.inputs, shapes)


def _functional(graph: Graph, inputs: Sequence[ModelInput], shapes: Sequence[Shape], **about: Any) -> keras.Model:
    tensors = [keras.Input(shape, name=entry.name, dtype=entry.dtype) for entry, shape in zip(inputs, shapes, strict=True)]
    layers: dict[int, keras.layers.Layer] = {}

    def compute(step: Step, inbound: list[Any]) -> list[Any]:
        if step.place not in layers:
            layers[step.place] = as_keras(step.layer)
        return call_layer(step, layers[step.place], inbound)

    outputs = graph.follow(tensors, compute)
    return keras.Model(one_or_list(tensors), one_or_list(outputs), **about)


def call_layer(step: Step, layer: keras.layers.Layer, inbound: list[Any]) -> list[Any]:
    """The outputs of one call."""
    spec, first = step.layer, inbound[0]
    match spec.joins:
        case "arguments":
            outputs = layer(*inbound, **spec.call_arguments)
        case "initial_state":
            outputs = layer(first, **({"initial_state": inbound[1:]} if inbound[1:] else {}))
        case _:
            outputs = layer(first if spec.input_counts == (1, 1) else inbound, **spec.call_arguments)
    return as_list(outputs)


def as_keras(value: Any) -> Any:
    """The Keras object that a spec stands for, its arguments included; plain values stay as they are."""
    if isinstance(value, AccuracyByLoss):
        return "accuracy"
    if isinstance(value, list):
        return [as_keras(item) for item in value]
    if isinstance(value, dict):
        return {name: as_keras(item) for name, item in value.items()}
    if isinstance(value, NestedModel):
        return _nested(value)
    if not isinstance(value, KerasObject):
        return value
    keras_class = getattr(MODULES[value.namespace], value.type)
    return keras_class(**{name: as_keras(argument) for name, argument in value.arguments()})


def _nested(model: NestedModel) -> keras.Model:
    """A model in place of a layer."""
    about = {"name": model.name, **({} if model.trainable else {"trainable": False})}
    if isinstance(model, Functional):
        return _functional(model.graph, model.inputs, [tuple(entry.shape) for entry in model.inputs], **about)
    assert isinstance(model, Sequential), "there are no other models"
    shape = [] if model.input_shape is None else [keras.Input(tuple(model.input_shape))]
    return keras.Sequential([*shape, *map(as_keras, model.layers)], **about)


def input_shapes(definition: Definition, data_shapes: Sequence[Shape]) -> list[Shape]:
    """The shape of one row of each input: the definition's, else the data's. Raises InvalidInput where they differ."""
    shapes = []
    for number, (wanted, given) in enumerate(zip(definition.input_shapes, data_shapes, strict=True)):
        if wanted is not None and not agree(wanted, given):
            raise _other_shape(definition, number, tuple(wanted), given)
        shapes.append(given if wanted is None else tuple(wanted))
    return shapes


def _other_shape(definition: Definition, number: int, wanted: Shape, given: Shape) -> InvalidInput:
    setting = "input_shape" if not definition.is_functional else f"the shape of input '{definition.input_names[number]}'"
    fix = f"Set {setting} to {list(given)}, or leave it out."
    message = f"The data has rows of shape {given}. Received {setting}={wanted}. {fix}"
    return InvalidInput(message, [Problem(definition.shape_pointer(number), message, str(wanted), str(given), fix)])


def count_parameters(definition: Definition, shapes: Sequence[Shape]) -> int:
    """Number of weights, found without allocating any. Leaves Keras to be reset."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            return int(as_model(definition, shapes).count_params())
    finally:
        keras.utils.clear_session()  # forgets the variables that would be allocated when the next scope ends


def check_outputs(model: keras.Model, targets: Sequence[Target], truth_shapes: Sequence[Shape]) -> None:
    """Refuse outputs that do not fit their targets: Keras would quietly spread one over the other.

    ``truth_shapes`` are those of one encoded row of each target. Raises InvalidInput.
    """
    for number, (target, truth_shape) in enumerate(zip(targets, truth_shapes, strict=True)):
        _check_output(model, number, target, truth_shape)


def _check_output(model: keras.Model, number: int, target: Target, truth_shape: Shape) -> None:
    expected = (len(target.classes or []),) if target.encoding == "index" else truth_shape
    received = tuple(model.outputs[number].shape[1:])
    if agree(received, expected):
        return
    wants = f"{len(target.classes)} classes" if target.classes and target.encoding != "binary" else f"shape {expected} per row"
    fix = _how_to_end(model, received, expected)
    last, pointer = f"The last layer, '{model.layers[-1].name}',", f"/definition/layers/{len(model.layers) - 1}"
    if not isinstance(model, keras.Sequential):
        last, pointer = f"Output '{target.output}'", f"/definition/outputs/{number}"
    message = f"{last} gives shape {received} per row, but the target '{target.name}' has {wants}. {fix}"
    raise InvalidInput(message, [Problem(pointer, message, str(received), str(expected), fix)])


def _how_to_end(model: keras.Model, received: Shape, expected: Shape) -> str:
    """What to change so that the last layer gives the expected shape."""
    fix = f"Let the last layer have {expected[-1]} unit{'s' if expected[-1] != 1 else ''}"
    if len(received) <= len(expected) or not isinstance(model, keras.Sequential):
        return f"{fix}."
    sequences = [layer.name for layer in model.layers if getattr(layer, "return_sequences", False)]
    if sequences:
        return f"{fix}, and leave return_sequences out of layer '{sequences[-1]}', or put a Flatten after it."
    dense = next((layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)), None)
    return f"{fix}, with a Flatten before layer '{dense}'." if dense else f"{fix}: add a Flatten and then a Dense layer."


def multiplications_per_row(model: keras.Model) -> float:
    """A generous estimate of the multiplications that one row costs in a forward pass."""
    return float(sum(_of_layer(layer) for layer in model.layers))


def _of_layer(layer: keras.layers.Layer) -> float:
    """What all calls of a layer cost."""
    inner = multiplications_per_row(layer) if isinstance(layer, keras.Model) else None
    cost = 0.0
    for node in layer._inbound_nodes:
        size = sum(_size(tensor.shape) for tensor in node.output_tensors)
        cost += size + (_positions(node) * layer.count_params() if inner is None else inner)
    return cost


def _positions(node: Any) -> int:
    """How often a call uses the layer's weights for one row: once per pixel or time step."""
    return max(_size(tensor.shape[:-1]) for tensor in (*node.input_tensors[:1], *node.output_tensors[:1]))


def _size(shape: Shape) -> int:
    return int(np.prod([size or 1 for size in shape[1:]], dtype=np.int64))


def _check_parameters(parameters: int, limit: int) -> None:
    if parameters > limit:
        message = f"The model would have {parameters:,} parameters; the limit is {limit:,}."
        fix = "Use fewer units or filters, or make the data smaller before the first Dense layer."
        raise InvalidInput(message, [Problem("/definition/layers", message, f"{parameters:,}", f"at most {limit:,}", fix)])
