"""Loads what answers for a version: its ONNX graph, or Keras itself. Knows no datasets and no files of results."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.features.plan import FeaturePlan, TableInput
from service.serving.engine import OnnxEngine
from service.training.building import load_saved, multiplications_per_row, reset_keras
from service.training.environment import keep_sums_in_order, threads
from service.training.fitting import EXECUTION_SECONDS, MULTIPLICATIONS_PER_SECOND
from service.training.structure import as_list, one_or_list

Array = np.ndarray[Any, Any]
Predictor = Callable[[Sequence[Array]], list[Array]]
"""The outputs ``(rows, …)`` for the inputs ``(rows, …)``, both in the order of the plan."""

SEED = 0
"""Nothing is random in a prediction, but Keras shall be as new."""
MAX_BLOCK_ROWS = 1024
BLOCK_BYTES = 4 * 1024 * 1024
"""Size of the encoded rows of a block: what a model makes of them on the way may be many times as large."""


def load_model(path: Path, folder: Path) -> keras.Model:
    """The fitted model."""
    reset_keras(SEED)
    return load_saved(path, folder)


def make_predictor(model: keras.Model, graph: Path | None, plan: FeaturePlan) -> Predictor:
    """The engine by which the version answers."""
    return _by_keras(model) if graph is None else _by_onnx(OnnxEngine(graph, threads()), plan)


def _by_onnx(engine: OnnxEngine, plan: FeaturePlan) -> Predictor:
    def predict(tensors: Sequence[Array]) -> list[Array]:
        named = {entry.name: tensor for entry, tensor in zip(plan.inputs, tensors, strict=True)}
        return engine.run(named, plan.output_names)

    return predict


def _by_keras(model: keras.Model) -> Predictor:
    keep_sums_in_order(is_needed=True)  # else the last bits would depend on what this trainer has done before
    signature = [tf.TensorSpec(tensor.shape, tf.float32) for tensor in model.inputs]
    compute = tf.function(lambda *tensors: as_list(model(one_or_list(tensors), training=False)), input_signature=signature)
    return lambda tensors: [np.asarray(output, dtype=np.float32) for output in compute(*map(tf.constant, tensors))]


def block_rows(model: keras.Model, plan: FeaturePlan, carried_bytes: int) -> int:
    """Rows to predict at once, by arithmetic alone: with other numbers of rows the last bits could be others.

    A block of them is small, and takes no longer than a stop may wait. ``carried_bytes``: what is taken over of a row.
    """
    most = EXECUTION_SECONDS * MULTIPLICATIONS_PER_SECOND / max(1.0, multiplications_per_row(model))
    return max(1, min(MAX_BLOCK_ROWS, BLOCK_BYTES // (encoded_bytes(plan) + carried_bytes), int(most)))


def encoded_bytes(plan: FeaturePlan) -> int:
    """Size of one encoded row of all inputs."""
    numbers = sum(entry.width if isinstance(entry, TableInput) else math.prod(entry.shape) for entry in plan.inputs)
    return np.dtype(np.float32).itemsize * max(1, numbers)
