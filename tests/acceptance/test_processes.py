"""Which process loads what, and that two instances on one machine do not know each other."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.acceptance.client import TUTORIAL_COMPILE, TUTORIAL_LAYERS, accepted
from tests.acceptance.running import RunningService, running_api


def _loads_tensorflow(process: psutil.Process) -> bool:
    return "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has loaded on Linux only")
def test_only_the_trainer_has_tensorflow_loaded(running: RunningService) -> None:
    assert not _loads_tensorflow(running.api())
    assert not _loads_tensorflow(running.worker())
    assert _loads_tensorflow(running.trainer())


@pytest.mark.parametrize("module", ["service.main", "service.worker.app", "service.cli.up"])
def test_importing_it_imports_neither_keras_nor_tensorflow(module: str) -> None:
    heavy = {"keras", "tensorflow", "tf2onnx", "onnx", "sklearn"}
    program = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def test_two_instances_know_nothing_of_each_other(tmp_path: Path) -> None:
    model = {"name": "mine", "definition": {"layers": TUTORIAL_LAYERS}, "compile": TUTORIAL_COMPILE}
    with running_api(tmp_path / "one") as (one, _), running_api(tmp_path / "two") as (two, _):
        accepted(one.post("/api/models", json=model), 201)
        assert [item["name"] for item in accepted(one.get("/api/models"))["items"]] == ["mine"]
        assert accepted(two.get("/api/models"))["items"] == []
        accepted(two.post("/api/models", json=model), 201)
