"""Builds Keras objects from the typed definition. The client's own dictionaries never reach Keras."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import Target
from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import Definition
from service.spec.sizes import agree

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
    definition: Definition, data_shape: Shape, max_parameters: int, seed: int, dtype_policy: str = "float32"
) -> keras.Model:
    """The model, with its weights as the seed gives them; ``data_shape`` is one encoded row's.

    Raises InvalidInput on a shape that is not the data's or on too many parameters, and whatever Keras raises.
    """
    shape = input_shape(definition, data_shape)
    _check_parameters(count_parameters(definition, shape), max_parameters)
    reset_keras(seed, dtype_policy)
    return as_sequential(definition, shape)


def load_saved(path: Path, folder: Path) -> keras.Model:
    """A saved model; Keras knows one by the end of its name, so it is given one in ``folder``."""
    named = folder / "saved.keras"
    named.symlink_to(path)
    try:
        return keras.saving.load_model(named)
    finally:
        named.unlink()


def compile_model(model: keras.Model, spec: CompileSpec, steps_per_execution: int) -> None:
    """``model.compile`` with what the client chose."""
    model.compile(
        optimizer=as_keras(spec.optimizer),
        loss=as_keras(spec.loss),
        metrics=[as_keras(metric) for metric in spec.metrics],
        jit_compile=spec.jit_compile,
        steps_per_execution=steps_per_execution,
    )


def as_sequential(definition: Definition, shape: Shape) -> keras.Sequential:
    """The layers in a row behind an input of this shape."""
    return keras.Sequential([keras.Input(shape), *map(as_keras, definition.layers)])


def as_keras(value: Any) -> Any:
    """The Keras object that a spec stands for, its arguments included; plain values stay as they are."""
    if isinstance(value, AccuracyByLoss):
        return "accuracy"
    if isinstance(value, list):
        return [as_keras(item) for item in value]
    if not isinstance(value, KerasObject):
        return value
    keras_class = getattr(MODULES[value.namespace], value.type)
    return keras_class(**{name: as_keras(argument) for name, argument in value.arguments()})


def input_shape(definition: Definition, data_shape: Shape) -> Shape:
    """The shape of one row: the definition's if it has one, else the data's. Raises InvalidInput when they differ."""
    if definition.input_shape is None:
        return data_shape
    wanted = tuple(definition.input_shape)
    if not agree(wanted, data_shape):
        fix = f"Set input_shape to {list(data_shape)}, or leave it out."
        message = f"The data has rows of shape {data_shape}. Received input_shape={wanted}. {fix}"
        raise InvalidInput(message, [Problem("/definition/input_shape", message, str(wanted), str(data_shape), fix)])
    return wanted


def count_parameters(definition: Definition, shape: Shape) -> int:
    """Number of weights, found without allocating any. Leaves Keras to be reset."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            return int(as_sequential(definition, shape).count_params())
    finally:
        keras.utils.clear_session()  # forgets the variables that would be allocated when the next scope ends


def check_output(model: keras.Model, target: Target, truth_shape: Shape) -> None:
    """Refuse a last layer that does not fit the target: Keras would quietly spread one over the other.

    ``truth_shape`` is that of one encoded row of the target. Raises InvalidInput.
    """
    expected = (len(target.classes or []),) if target.encoding == "index" else truth_shape
    received = tuple(model.output_shape[1:])
    if agree(received, expected):
        return
    name = model.layers[-1].name
    wants = f"{len(target.classes)} classes" if target.classes and target.encoding != "binary" else f"shape {expected} per row"
    fix = _how_to_end(model, received, expected)
    message = f"The last layer, '{name}', gives shape {received} per row, but the target '{target.name}' has {wants}. {fix}"
    pointer = f"/definition/layers/{len(model.layers) - 1}"
    raise InvalidInput(message, [Problem(pointer, message, str(received), str(expected), fix)])


def _how_to_end(model: keras.Model, received: Shape, expected: Shape) -> str:
    """What to change so that the last layer gives the expected shape."""
    fix = f"Let the last layer have {expected[-1]} unit{'s' if expected[-1] != 1 else ''}"
    if len(received) <= len(expected):
        return f"{fix}."
    sequences = [layer.name for layer in model.layers if getattr(layer, "return_sequences", False)]
    if sequences:
        return f"{fix}, and leave return_sequences out of layer '{sequences[-1]}', or put a Flatten after it."
    dense = next((layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)), None)
    return f"{fix}, with a Flatten before layer '{dense}'." if dense else f"{fix}: add a Flatten and then a Dense layer."


def multiplications_per_row(model: keras.Model) -> float:
    """A generous estimate of the multiplications that one row costs in a forward pass."""
    return float(sum(_positions(layer) * layer.count_params() + _size(layer.output.shape) for layer in model.layers))


def _positions(layer: keras.layers.Layer) -> int:
    """How often a layer uses its weights for one row: once per pixel or time step."""
    taken = layer.input[0] if isinstance(layer.input, list) else layer.input  # a mask comes beside it, from Embedding
    return max(_size(taken.shape[:-1]), _size(layer.output.shape[:-1]))


def _size(shape: Shape) -> int:
    return int(np.prod([size or 1 for size in shape[1:]], dtype=np.int64))


def _check_parameters(parameters: int, limit: int) -> None:
    if parameters > limit:
        message = f"The model would have {parameters:,} parameters; the limit is {limit:,}."
        fix = "Use fewer units or filters, or make the data smaller before the first Dense layer."
        raise InvalidInput(message, [Problem("/definition/layers", message, f"{parameters:,}", f"at most {limit:,}", fix)])
