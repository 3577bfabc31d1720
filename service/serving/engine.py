"""Loaded models, and the one of ONNX. Knows no HTTP, no database and no feature plan."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

from service.spec.frames import TensorSpec

Array = np.ndarray[Any, Any]

NUMPY_NAMES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
    "tensor(string)": "str",
}  # fmt: skip
FATAL = 4
SMALL_BYTES = 256 * 1024


class Engine(Protocol):
    """A loaded model, whatever runs it; safe to call from several threads."""

    @property
    def runs_inline(self) -> bool:
        """Whether a small answer takes so little time that the event loop may wait for it."""

    @property
    def size_bytes(self) -> int:
        """Size of its file."""

    @property
    def inputs(self) -> list[TensorSpec]:
        """The tensors that it takes."""

    @property
    def outputs(self) -> list[TensorSpec]:
        """The tensors that it gives."""

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all, one array ``(rows, …)`` each, for the inputs by name."""


class OnnxEngine:
    """Runs a model on the CPU with onnxruntime; safe to call from several threads."""

    runs_inline = True

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load a file; ``threads`` work on one call. Raises onnxruntime's own errors on a broken model.

        From bytes it would keep Python's lock while it reads them, and every other answer would wait.
        """
        options = _options(threads, path.stat().st_size)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # InferenceSession.run first compares the names, which takes a fifth of a small model's time.
        self._run = self._session._sess.run
        self.size_bytes = path.stat().st_size
        self.inputs = [_describe(node) for node in self._session.get_inputs()]
        self.outputs = [_describe(node) for node in self._session.get_outputs()]
        self._output_names = [output.name for output in self.outputs]

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all, one array ``(rows, …)`` each, for the inputs by name.

        Raises onnxruntime's errors on wrong shapes.
        """
        outputs: list[Array] = self._run(names or self._output_names, inputs, None)
        return outputs


def _options(threads: int, size_bytes: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # An arena pays where there is much to allocate; for a small model it takes a third of the time of a call.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = size_bytes > SMALL_BYTES
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL  # a wrong request is the client's error and must not fill our log
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    return options


def _describe(node: Any) -> TensorSpec:
    shape = [size if isinstance(size, int) else None for size in node.shape]
    return TensorSpec(name=node.name, dtype=NUMPY_NAMES[node.type], shape=shape)
