"""Models that only Keras can run, loaded to answer as ``model.predict`` does, bit for bit. Knows no versions."""

import gc
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

from service.spec.frames import read_frame, write_frame
from service.spec.sidecar_frames import (
    Answer,
    Array,
    LoadModel,
    ModelLoaded,
    ModelUnloaded,
    Predict,
    Predicted,
    Refused,
    Request,
    UnloadModel,
    heads_of,
    read_tensors,
    request_decoder,
    write_tensors,
)
from service.training.building import load_saved
from service.training.failures import describe_failure
from service.training.structure import as_list, one_or_list

ROWS_AT_ONCE = 32
"""As many as ``model.predict`` takes unless it is told otherwise.

With other batches the last bits could differ, and what all layers make of many rows could take too much memory.
"""


def serve(requests: BinaryIO, pipe: BinaryIO) -> None:
    """Answer one request after the other, until the other side closes the pipe."""
    models = Models()
    while (request := read_frame(requests, request_decoder)) is not None:
        tensors = read_tensors(requests, request.tensors) if isinstance(request, Predict) else []
        answer, outputs = models.answer(request, tensors)
        write_frame(pipe, answer)
        write_tensors(pipe, outputs)


class AnsweringModel:
    """One model of a file, without its optimizer."""

    def __init__(self, path: Path) -> None:
        """Load it. Raises what Keras raises."""
        with TemporaryDirectory(prefix="fitserve-") as folder:
            model = load_saved(path, Path(folder), is_compiled=False)
        signature = [tf.TensorSpec([None, *tensor.shape[1:]], tf.float32) for tensor in model.inputs]

        def answer(tensors: list[Any]) -> list[Any]:
            outputs = as_list(model(one_or_list(tensors), training=False))
            return [tf.cast(output, tf.float32) for output in outputs]

        self._answer = tf.function(answer, input_signature=[signature], autograph=False).get_concrete_function()

    def predict(self, tensors: Sequence[Array]) -> list[Array]:
        """One float32 array ``(rows, …)`` per output, for one ``(rows, …)`` per input. Raises what TensorFlow raises."""
        batches = [
            self._answer([tf.constant(tensor[start : start + ROWS_AT_ONCE], tf.float32) for tensor in tensors])
            for start in range(0, len(tensors[0]), ROWS_AT_ONCE)
        ]
        return [np.concatenate([part.numpy() for part in parts]) for parts in zip(*batches, strict=True)]


class Models:
    """The loaded models by their handles."""

    def __init__(self) -> None:
        self._models: dict[int, AnsweringModel] = {}

    def answer(self, request: Request, tensors: Sequence[Array]) -> tuple[Answer, list[Array]]:
        """The frame that answers a request with these tensors, and the tensors behind it. Every error is a ``Refused``."""
        try:
            return self._carry_out(request, tensors)
        except Exception as error:  # Keras and TensorFlow raise anything
            traceback.print_exc(file=sys.stderr)
            failed = describe_failure(error)
            return Refused(is_out_of_memory=failed.type == "out_of_memory", message=failed.message), []

    def _carry_out(self, request: Request, tensors: Sequence[Array]) -> tuple[Answer, list[Array]]:
        match request:
            case LoadModel():
                self._models[request.handle] = AnsweringModel(Path(request.path))
                return ModelLoaded(), []
            case Predict():
                outputs = self._models[request.handle].predict(tensors)
                return Predicted(tensors=heads_of(outputs)), outputs
            case UnloadModel():
                self._models.pop(request.handle, None)
                gc.collect()  # a model and its functions refer to each other
                return ModelUnloaded(), []
