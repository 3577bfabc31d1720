import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.serving.engine import OnnxEngine


@pytest.fixture
def doubling_model(tmp_path: Path) -> Path:
    """A file of y = x · 2 for rows of three numbers."""
    node = helper.make_node("Mul", ["x", "two"], ["y"])
    graph = helper.make_graph(
        [node],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.float32([2.0]), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def test_an_engine_answers_any_number_of_rows(doubling_model):
    engine = OnnxEngine(doubling_model)
    for rows in (1, 5):
        (y,) = engine.run({"x": np.ones((rows, 3), np.float32)})
        assert y.tolist() == [[2.0, 2.0, 2.0]] * rows


def test_an_engine_describes_its_tensors_and_size(doubling_model):
    engine = OnnxEngine(doubling_model)
    assert (engine.inputs[0].name, engine.inputs[0].dtype, engine.inputs[0].shape) == ("x", "float32", [None, 3])
    assert engine.outputs[0].name == "y"
    assert engine.size_bytes == doubling_model.stat().st_size


def test_a_broken_file_is_an_error(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(Exception, match=r"(?i)protobuf|parse"):
        OnnxEngine(tmp_path / "model.onnx")


def test_onnxruntime_keeps_no_number_of_this_machine_for_its_reports(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", "import service.serving.engine"], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
