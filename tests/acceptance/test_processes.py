"""Which process loads what, and that two instances on one machine do not know each other."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.acceptance.client import TUTORIAL_COMPILE, TUTORIAL_LAYERS, Fitserve, accepted
from tests.acceptance.running import RunningService, running_api


def _loads(process: psutil.Process, part: str) -> bool:
    return part in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has loaded on Linux only")
def test_only_the_trainer_has_tensorflow_loaded(running: RunningService) -> None:
    assert not _loads(running.api(), "libtensorflow")
    assert not _loads(running.worker(), "libtensorflow")
    assert _loads(running.trainer(), "libtensorflow")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has loaded on Linux only")
@pytest.mark.parametrize("package", ["scipy", "pandas", "sklearn"])
def test_an_api_that_has_read_data_and_predicted_has_loaded_no_package_for_science(
    fitserve: Fitserve, running: RunningService, package: str
) -> None:
    model = fitserve.succeeded(fitserve.start_digits())["model"]
    accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": [[0.0] * 64]}))
    assert not _loads(running.api(), f"/{package}/")


@pytest.mark.parametrize("module", ["service.main", "service.worker.app", "service.cli.up", "service.cli.api"])
def test_importing_it_imports_neither_keras_nor_tensorflow(module: str) -> None:
    heavy = {"keras", "tensorflow", "tf2onnx", "onnx", "sklearn", "scipy", "pandas"}
    program = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def test_the_supervisor_of_several_apis_loads_nothing_of_what_they_need() -> None:
    needed = {"fastapi", "uvicorn", "onnxruntime", "celery", "pyarrow", "numpy"}
    program = f"import sys, service.cli.api_processes; print(sorted({needed!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def test_two_instances_know_nothing_of_each_other(tmp_path: Path) -> None:
    model = {"name": "mine", "definition": {"layers": TUTORIAL_LAYERS}, "compile": TUTORIAL_COMPILE}
    with running_api(tmp_path / "one") as (one, _), running_api(tmp_path / "two") as (two, _):
        accepted(one.post("/api/models", json=model), 201)
        assert [item["name"] for item in accepted(one.get("/api/models"))["items"]] == ["mine"]
        assert accepted(two.get("/api/models"))["items"] == []
        accepted(two.post("/api/models", json=model), 201)
