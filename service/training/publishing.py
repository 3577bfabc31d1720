"""Makes a fitted model servable: saves it, exports it, and proves that the export answers as Keras does."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf

from service.infra.disk import is_full_disk
from service.serving.engine import OnnxEngine
from service.spec.frames import Parity, Publication, TensorSpec
from service.training.examples import Examples
from service.training.failures import shorten

Array = np.ndarray[Any, Any]

INPUT, OUTPUT = "input", "output"
ABSOLUTE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-3
PARITY_ROWS = 256
ODD_BATCH = 7


def publish(model: keras.Model, saved: Path, onnx_path: Path, examples: Examples) -> Publication:
    """Export ``model``, compare it with what ``saved`` loads as, and describe what to serve.

    Where the export fails or disagrees, ``onnx_path`` is gone and the engine is ``keras``, with the reason.
    """
    parity = _export_and_compare(model, saved, onnx_path, examples.train.x[:PARITY_ROWS])
    if not parity.agrees:
        onnx_path.unlink(missing_ok=True)
    return Publication(
        engine="onnx" if parity.agrees else "keras",
        parity=parity,
        plan=examples.plan.as_document(),
        inputs=[TensorSpec(name=INPUT, dtype="float32", shape=list(model.input_shape))],
        outputs=[TensorSpec(name=OUTPUT, dtype="float32", shape=list(model.output_shape))],
        example={"rows": examples.about.raw},
        parameters=int(model.count_params()),
    )


def export(model: keras.Model, path: Path) -> None:
    """Write the ONNX graph with a free batch axis and our names for its input and output."""
    signature = [tf.TensorSpec(model.input_shape, tf.float32, name=INPUT)]
    model.export(str(path), format="onnx", verbose=False, input_signature=signature)
    graph = onnx.load(str(path))
    _rename_output(graph.graph)
    onnx.save(graph, str(path))


def compare(model: keras.Model, engine: OnnxEngine, rows: Array) -> Parity:
    """How far the engine is from Keras on these rows, on the first alone and on an odd number of them."""
    largest, reason = 0.0, None
    for batch in _parity_batches(rows):
        expected = np.asarray(model(batch, training=False))
        received = engine.run({INPUT: batch})[0]
        reason = reason or _disagreement(expected, received)
        if expected.shape == received.shape and expected.size:
            largest = max(largest, float(np.max(np.abs(expected - received))))
    difference = largest if np.isfinite(largest) else None
    return Parity(max_abs_difference=difference, rows=len(rows), agrees=reason is None, reason=reason)


def _export_and_compare(model: keras.Model, saved: Path, onnx_path: Path, rows: Array) -> Parity:
    try:
        export(model, onnx_path)
        return compare(keras.saving.load_model(saved), OnnxEngine(onnx_path), np.ascontiguousarray(rows))
    except Exception as error:  # exporters raise anything; such a model is served by Keras itself
        if is_full_disk(error):
            raise
        traceback.print_exc(file=sys.stderr)
        return Parity(max_abs_difference=None, rows=0, agrees=False, reason=f"The export to ONNX failed: {shorten(error)}")


def _rename_output(graph: onnx.GraphProto) -> None:
    (output,) = graph.output
    for node in graph.node:
        node.input[:] = [OUTPUT if name == output.name else name for name in node.input]
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
    output.name = OUTPUT


def _parity_batches(rows: Array) -> Iterator[Array]:
    yield rows
    yield rows[:1]
    yield np.resize(rows, (ODD_BATCH, *rows.shape[1:]))


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
