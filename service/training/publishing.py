"""Makes a fitted model servable: saves it, exports it, and proves that the export answers as Keras does."""

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf

from service.features.plan import FeaturePlan
from service.infra.disk import is_full_disk
from service.serving.engine import OnnxEngine
from service.spec.frames import Parity, Publication, TensorSpec
from service.training import onnx_operations  # noqa: F401  # registers itself with the exporter
from service.training.adapting import normalizations
from service.training.examples import Examples
from service.training.failures import shorten
from service.training.structure import as_list, one_or_list

Array = np.ndarray[Any, Any]

PREFIX = "fitserve_input_"
"""Begins the name of an input while TensorFlow exports it: it does not take every name."""
INNER = ":inner"
"""Ends the name of a value inside a graph that has the name of an input or output."""
ABSOLUTE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-3
PARITY_ROWS = 256
ODD_BATCH = 7


class NotLoadable(Exception):
    """Keras cannot load what it has saved, so nothing can serve it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"Keras cannot load the model that it has saved, so nothing could serve it: {shorten(error)}")


def publish(model: keras.Model, saved: Path, onnx_path: Path, examples: Examples) -> Publication:
    """Export ``model``, compare it with what ``saved`` loads as, and describe what to serve.

    Where the export fails or disagrees, ``onnx_path`` is gone and the engine is ``keras``, with the reason. Raises NotLoadable.
    """
    loaded = _load(saved)
    inputs, outputs = _tensors(model, examples.plan)
    rows = [np.ascontiguousarray(array[:PARITY_ROWS]) for array in examples.train.inputs]
    parity = _export_and_compare(model, loaded, onnx_path, examples.plan, rows)
    if not parity.agrees:
        onnx_path.unlink(missing_ok=True)
    return Publication(
        engine="onnx" if parity.agrees else "keras",
        parity=parity,
        plan=examples.plan.as_document(),
        inputs=inputs,
        outputs=outputs,
        example={"rows": examples.about.raw},
        parameters=int(model.count_params()),
    )


def _tensors(model: keras.Model, plan: FeaturePlan) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """What the served engine takes and gives; numbers are float32 on the way, whatever the model makes of them."""
    names = [entry.name for entry in plan.inputs], [target.output for target in plan.targets]
    inputs, outputs = (
        [TensorSpec(name=name, dtype="float32", shape=list(tensor.shape)) for name, tensor in zip(known, tensors, strict=True)]
        for known, tensors in zip(names, (model.inputs, model.outputs), strict=True)
    )
    return inputs, outputs


def export(model: keras.Model, path: Path, plan: FeaturePlan) -> None:
    """Write the ONNX graph with a free batch axis and the plan's names for its inputs and outputs."""
    inputs, outputs = _tensors(model, plan)
    signature = [tf.TensorSpec(spec.shape, tf.float32, name=f"{PREFIX}{number}") for number, spec in enumerate(inputs)]
    with _constants(model), _functions_without_xla():
        _answering(model).export(str(path), format="onnx", verbose=False, input_signature=[one_or_list(signature)])
    graph = onnx.load(str(path))
    names = {f"{PREFIX}{number}": spec.name for number, spec in enumerate(inputs)}
    names |= {node.name: spec.name for node, spec in zip(graph.graph.output, outputs, strict=True)}
    _rename(graph.graph, names)
    onnx.save(graph, str(path))


def compare(model: keras.Model, engine: OnnxEngine, rows: Sequence[Array], plan: FeaturePlan) -> Parity:
    """How far the engine is from Keras on these rows of each input, on the first alone and on an odd number of them."""
    largest, reason = 0.0, None
    for batch in _parity_batches(rows):
        expected = [np.asarray(output) for output in as_list(model(one_or_list(batch), training=False))]
        received = engine.run({entry.name: array for entry, array in zip(plan.inputs, batch, strict=True)}, plan.output_names)
        for keras_output, engine_output in zip(expected, received, strict=True):
            reason = reason or _disagreement(keras_output, engine_output)
            if keras_output.shape == engine_output.shape and keras_output.size:
                largest = max(largest, float(np.max(np.abs(keras_output - engine_output))))
    difference = largest if np.isfinite(largest) else None
    return Parity(max_abs_difference=difference, rows=len(rows[0]), agrees=reason is None, reason=reason)


def _load(saved: Path) -> keras.Model:
    try:
        return keras.saving.load_model(saved)
    except Exception as error:  # Keras raises anything
        if is_full_disk(error):
            raise
        traceback.print_exc(file=sys.stderr)
        raise NotLoadable(error) from error


def _export_and_compare(
    model: keras.Model, loaded: keras.Model, onnx_path: Path, plan: FeaturePlan, rows: Sequence[Array]
) -> Parity:
    try:
        export(model, onnx_path, plan)
        return compare(loaded, OnnxEngine(onnx_path), rows, plan)
    except Exception as error:  # exporters raise anything; such a model is served by Keras itself
        if is_full_disk(error):
            raise
        traceback.print_exc(file=sys.stderr)
        return Parity(max_abs_difference=None, rows=0, agrees=False, reason=f"The export to ONNX failed: {shorten(error)}")


def _answering(model: keras.Model) -> keras.Model:
    """The model as predictions use it: Keras exports what changes images at random as if it were in training."""
    inputs = one_or_list([keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in model.inputs])
    return keras.Model(inputs, model(inputs, training=False))


@contextmanager
def _constants(model: keras.Model) -> Iterator[None]:
    """Give layers arrays in place of tensors that are no variables: the exporter makes inputs of these, constants of those."""
    layers = normalizations(model)
    tensors = [(layer.mean, layer.variance) for layer in layers]
    try:
        for layer, (mean, variance) in zip(layers, tensors, strict=True):
            layer.mean, layer.variance = np.asarray(mean), np.asarray(variance)
        yield
    finally:
        for layer, (mean, variance) in zip(layers, tensors, strict=True):
            layer.mean, layer.variance = mean, variance


@contextmanager
def _functions_without_xla() -> Iterator[None]:
    """Keras compiles convolutions of several groups with XLA, and the exporter does not look into what is compiled."""
    function = tf.function

    def plain(*arguments: Any, jit_compile: bool | None = None, **named: Any) -> Any:
        return function(*arguments, **named)

    tf.function = plain
    try:
        yield
    finally:
        tf.function = function


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give values new names; where a value in the midst has one of these already, it gets another."""
    taken = {name: f"{name}{INNER}" for name in names.values()}
    renamed = taken | dict(names)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        entry.name = renamed.get(entry.name, entry.name)


def _parity_batches(rows: Sequence[Array]) -> Iterator[list[Array]]:
    yield list(rows)
    yield [array[:1] for array in rows]
    yield [np.resize(array, (ODD_BATCH, *array.shape[1:])) for array in rows]


def _disagreement(expected: Array, received: Array) -> str | None:
    if expected.shape != received.shape:
        return f"Keras answers shape {expected.shape}, ONNX {received.shape}."
    if not np.isfinite(expected).all() or not np.isfinite(received).all():
        return "The model answers numbers that are not finite."
    difference = np.abs(expected - received)
    tolerance = ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * np.abs(received)
    if (difference > tolerance).any():
        return f"Keras and ONNX differ by up to {difference.max():.3g}."
    return None if _same_winners(expected, received, tolerance) else "Keras and ONNX name different classes."


def _same_winners(expected: Array, received: Array, tolerance: Array) -> bool:
    """Whether the largest place of each row is the same, or within tolerance of being so."""
    winner = received.argmax(axis=-1)[..., None]
    shortfall = expected.max(axis=-1, keepdims=True) - np.take_along_axis(expected, winner, axis=-1)
    return bool((shortfall <= 2 * np.take_along_axis(tolerance, winner, axis=-1)).all())
