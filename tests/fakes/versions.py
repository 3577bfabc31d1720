"""Versions and artifacts in memory, with real tiny ONNX models."""

import hashlib
import shutil
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.errors import Unavailable
from service.models.errors import AliasNotFound, ModelNotFound, VersionNotFound
from service.predictions.versions import ListedVersion, Selector, ServableVersion
from service.spec.frames import TensorSpec

WORKSPACE = "ws_default"
ARRAY_PLAN: dict[str, Any] = {
    "inputs": [{"kind": "array", "name": "x", "array": "x", "shape": [2], "dtype": "float32"}],
    "targets": [{"output": "y0", "columns": ["y"], "encoding": "number"}],
}
TABLE_PLAN: dict[str, Any] = {
    "inputs": [
        {
            "kind": "table",
            "name": "x",
            "columns": [
                {"type": "number", "column": name, "missing": 0.0, "offset": 0.0, "divisor": 1.0} for name in ("age", "height")
            ],
        }
    ],
    "targets": [{"output": "y0", "columns": ["y"], "encoding": "number"}],
}


def sigmoid(values: Any) -> Any:
    """What the tiny models compute after the product."""
    return 1 / (1 + np.exp(-np.asarray(values)))


def onnx_bytes(weights: list[list[float]], outputs: int = 1) -> bytes:
    """An ONNX file of ``sigmoid(x @ weights)``, given once per output (``y0``, ``y1``, …)."""
    matrix = numpy_helper.from_array(np.array(weights, np.float32), "weights")
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["product"])]
    nodes += [helper.make_node("Sigmoid", ["product"], [f"y{index}"]) for index in range(outputs)]
    rows, units = len(weights), len(weights[0])
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_floats("x", rows)],
        [_floats(f"y{index}", units) for index in range(outputs)],
        [matrix],
    )
    return _serialized(graph)


def graph_bytes(operators: Sequence[tuple[str, list[str], str]], width: int, **attributes: Any) -> bytes:
    """An ONNX file of ``(operator, inputs, output)``, each of whose tensors is ``(rows, width)``."""
    inputs = dict.fromkeys(name for _, names, _ in operators for name in names)
    nodes = [helper.make_node(operator, names, [output], **attributes) for operator, names, output in operators]
    outputs = [_floats(output, width) for *_, output in operators]
    return _serialized(helper.make_graph(nodes, "tiny", [_floats(name, width) for name in inputs], outputs))


def _floats(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])


def _serialized(graph: Any) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class FakeArtifacts:
    """Files in memory; ``delay_seconds`` makes finding them slow."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.delay_seconds = 0.0
        self._folder: Path | None = None

    def put(self, content: bytes) -> str:
        """Keep bytes and return their SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.files[sha256] = content
        return sha256

    def local_path(self, sha256: str) -> Path:
        """A file with the bytes. Raises FileNotFoundError."""
        time.sleep(self.delay_seconds)
        if sha256 not in self.files:
            raise FileNotFoundError(sha256)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fitserve-"))
            weakref.finalize(self, shutil.rmtree, self._folder)
        path = self._folder / sha256
        path.write_bytes(self.files[sha256])
        return path


class FakeVersions:
    """Published versions of one workspace; ``questions`` counts how often it was asked."""

    def __init__(self) -> None:
        self.artifacts = FakeArtifacts()
        self.aliases: dict[tuple[str, str], int] = {}
        self.questions = 0
        self.is_away = False
        self._versions: dict[str, dict[int, ServableVersion]] = {}

    def publish(
        self, model: str = "my_model", weights: list[list[float]] | None = None, output_count: int = 1, **changes: Any
    ) -> ServableVersion:
        """Publish the next version of a model: ``sigmoid(x @ weights)`` on an array, unless ``changes`` differ."""
        weights = weights or [[1.0], [2.0]]
        numbered = self._versions.setdefault(model, {})
        version = ServableVersion(
            model=model,
            number=len(numbered) + 1,
            engine="onnx",
            reason=None,
            plan=ARRAY_PLAN | {"targets": [{**ARRAY_PLAN["targets"][0], "output": f"y{i}"} for i in range(output_count)]},
            inputs=[TensorSpec(name="x", dtype="float32", shape=[None, 2])],
            outputs=[TensorSpec(name=f"y{i}", dtype="float32", shape=[None, len(weights[0])]) for i in range(output_count)],
            example={"rows": [[0.0, 0.0]]},
            onnx_sha256=self.artifacts.put(onnx_bytes(weights, output_count)),
        )
        numbered[version.number] = replace(version, **changes)
        return numbered[version.number]

    def remove(self, model: str) -> None:
        """Delete a model with its versions."""
        del self._versions[model]

    def list_versions(self, workspace_id: str) -> list[ListedVersion]:
        """All versions of the workspace."""
        return [
            ListedVersion(version.model, version.number, version.engine, version.reason)
            for numbered in self._versions.values()
            for version in numbered.values()
            if workspace_id == WORKSPACE
        ]

    def resolve(self, workspace_id: str, model: str, selector: Selector) -> ServableVersion:
        """The version that is meant. Raises NotFound or Unavailable."""
        self.questions += 1
        if self.is_away:
            raise Unavailable("The database does not answer.")
        if workspace_id != WORKSPACE or model not in self._versions:
            raise ModelNotFound(model)
        numbered = self._versions[model]
        number = self._number(model, selector)
        if number not in numbered:
            raise VersionNotFound(model, number)
        return numbered[number]

    def _number(self, model: str, selector: Selector) -> int:
        if isinstance(selector, int):
            return selector
        if selector is not None and (model, selector) not in self.aliases:
            raise AliasNotFound(model, selector)
        return self.aliases.get((model, selector or "default"), max(self._versions[model]))
