"""A host that only serves: what ``requirements-serving.txt`` installs answers predictions, and brings no Keras along."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.client import TUTORIAL_FIT, Fitserve, accepted
from tests.acceptance.running import READY_SECONDS, environment, running_service, wait_until
from tests.servers import free_port

CHECKOUT = Path(__file__).parents[2]
ABSENT = ("keras", "pandas", "scipy", "sklearn", "tensorflow", "tf2onnx")
INSTALL_SECONDS = 600
pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 300)


@dataclass(frozen=True)
class Published:
    """What a whole service has left behind: a data folder with a model, and how it answered some rows."""

    data_dir: Path
    model: str
    rows: list[Any]
    answer: dict[str, Any]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A model of a service that has been stopped."""
    with running_service(tmp_path_factory.mktemp("published") / "data", {}) as service:
        fitserve = Fitserve(service.http)
        name = fitserve.succeeded(fitserve.start_digits(TUTORIAL_FIT))["model"]
        rows = accepted(service.http.get(f"/api/models/{name}/versions/1"))["example"]["rows"]
        answer = accepted(service.http.post(f"/api/models/{name}:predict", json={"rows": rows}))
    return Published(service.data_dir, name, rows, answer)


@pytest.fixture(scope="module")
def serving_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the serving requirements and the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("serving")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=120)
    python = folder / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "install", "--requirement", str(CHECKOUT / "requirements-serving.txt"))
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT))
    (wheel,) = folder.glob("fitserve-*.whl")
    _run(*pip, "install", "--no-deps", str(wheel))
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, env=_clean_environment())
    assert done.returncode == 0, done.stderr


def _clean_environment() -> dict[str, str]:
    """No settings, and no paths by which another environment's packages could be found."""
    return {name: value for name, value in environment({}).items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


@contextmanager
def serving_only(python: Path, data_dir: Path, log: Path) -> Iterator[httpx.Client]:
    """A client of an API that this interpreter runs, far from the checkout."""
    port = free_port()
    command = [str(python.with_name("fitserve")), "api", "--port", str(port), "--data-dir", str(data_dir)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=log.parent, env=_clean_environment(), stdout=file, stderr=file)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        try:
            wait_until(lambda: _is_ready(http, process, log), READY_SECONDS, "ready API")
            yield http
        finally:
            process.terminate()
            assert process.wait(30) == 0


def _is_ready(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


def test_what_was_published_elsewhere_is_answered_the_same_without_keras(
    serving_python: Path, published: Published, tmp_path: Path
) -> None:
    with serving_only(serving_python, published.data_dir, tmp_path / "log") as http:
        answer = accepted(http.post(f"/api/models/{published.model}:predict", json={"rows": published.rows}))
        assert answer == published.answer
        assert len(answer["predictions"]) == len(published.rows) > 0
        checked = accepted(http.post("/api/models:check", json=_definition_of(http, published.model)))
        assert (checked["ok"], checked["built"]) == (True, False)


def _definition_of(http: httpx.Client, name: str) -> dict[str, Any]:
    model = accepted(http.get(f"/api/models/{name}"))
    return {"name": "another", "definition": model["definition"], "compile": model["compile"]}


@pytest.mark.parametrize("module", ABSENT)
def test_nothing_of_it_can_even_be_imported_there(serving_python: Path, module: str, tmp_path: Path) -> None:
    program = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is not None)"
    subprocess.run([str(serving_python), "-c", program], cwd=tmp_path, env=_clean_environment(), check=True, timeout=60)


def test_the_serving_requirements_are_complete_and_agree(serving_python: Path) -> None:
    _run(str(serving_python), "-m", "pip", "--disable-pip-version-check", "check")
