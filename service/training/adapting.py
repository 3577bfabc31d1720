"""Lets layers measure the training rows before a fit, as Keras's ``layer.adapt`` does, a block of rows at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from service.infra.npy import release_pages
from service.spec.adapting import Adapted, Stage, adapted_layers
from service.spec.definition import Definition
from service.spec.graph import Step, Value
from service.training.building import multiplications_per_row
from service.training.examples import Array, Part
from service.training.structure import one_or_list

MAX_ROWS = 4096
"""Rows that are measured at once. Part of what a seed means, as the next one: sums of other blocks end with other bits."""
MAX_NUMBERS = 4 * 1024 * 1024
"""Numbers that these may make on their way to the layer, by a generous estimate."""


def adapt(model: keras.Model, definition: Definition, part: Part, rows_at_once: int, go_on: Callable[[], None]) -> None:
    """Measure what reaches the layers that ask for it, one layer after the other in the order of computing.

    ``go_on`` is called before every block, and may raise.
    """
    dtypes = ["float32"] if definition.inputs is None else [entry.dtype for entry in definition.inputs]
    for adapted in adapted_layers(definition):
        arrays = [part.inputs[number] for number in adapted.inputs]
        wanted = [dtypes[number] for number in adapted.inputs]
        stages = _stages_of(model, adapted)
        blocks = _through(stages, _blocks(arrays, wanted, rows_at_once, go_on))
        layer = _inside(model, adapted.path)
        layer.adapt(next(blocks) if part.rows <= rows_at_once else blocks)


def rows_at_once(model: keras.Model, definition: Definition, part: Part, batch_size: int) -> int | None:
    """Rows of a block; None where no layer measures any. At least a batch, which the fit itself has to take."""
    adapted = adapted_layers(definition)
    if not adapted:
        return None
    longest = max(length for shape in part.input_shapes for length in (1, *shape))
    of_row = sum(int(np.prod(shape)) for shape in part.input_shapes)
    stages = [stage for layer in adapted for stage in _stages_of(model, layer)]
    numbers = of_row + sum(multiplications_per_row(stage) * (longest if _is_free(stage) else 1) for stage in stages)
    return max(batch_size, min(MAX_ROWS, int(MAX_NUMBERS / max(1, numbers))))


def settle(model: keras.Model) -> None:
    """Let layers compute with the mean and variance that their variables were given: Keras keeps copies."""
    for layer in normalizations(model):
        layer.finalize_state()


def normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
    """The layers of this kind, those inside others included."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Normalization)]


def _is_free(stage: keras.Model) -> bool:
    return any(None in tensor.shape[1:] for tensor in stage.inputs)


def _blocks(arrays: Sequence[Array], dtypes: Sequence[str], rows: int, go_on: Callable[[], None]) -> Iterator[Any]:
    for start in range(0, len(arrays[0]), rows):
        go_on()
        blocks = [np.asarray(array[start : start + rows]) for array in arrays]
        yield one_or_list([_cast(block, dtype) for block, dtype in zip(blocks, dtypes, strict=True)])
        release_pages(arrays)


def _cast(block: Array, dtype: str) -> Array:
    return block if dtype == "float32" else block.astype(dtype)


def _through(stages: Sequence[keras.Model], blocks: Iterator[Any]) -> Iterator[Any]:
    for block in blocks:
        for stage in stages:
            block = stage(block, training=False)
        yield block


# Finding the layers in the model that was built


def _stages_of(model: keras.Model, adapted: Adapted) -> list[keras.Model]:
    return [_stage(model, stage) for stage in adapted.stages]


def _stage(model: keras.Model, stage: Stage) -> keras.Model:
    """A model of the same layers, up to what is wanted."""
    holder = _inside(model, stage.around)

    def tensor_of(value: Value) -> Any:
        step = stage.holder.graph.before(value)
        if step is None:
            return holder.inputs[value.number]
        return _child(holder, step)._inbound_nodes[step.call].output_tensors[value.number]

    inputs = [holder.inputs[number] for number in stage.inputs]
    return keras.Model(one_or_list(inputs), one_or_list(list(map(tensor_of, stage.outputs))))


def _inside(model: keras.Model, path: Sequence[Step]) -> Any:
    """The layer that a path leads to."""
    for step in path:
        model = _child(model, step)
    return model


def _child(holder: keras.Model, step: Step) -> Any:
    return holder.layers[step.place] if isinstance(holder, keras.Sequential) else holder.get_layer(step.layer.name)
