"""A child is ended with all that it has started, and what it needs of the environment is all that it gets."""

import os
import socket
from pathlib import Path

import orjson
import psutil
import pytest

from service.infra.child import Child, inherited_environment
from service.infra.confinement import missing
from service.infra.scratch import Scratch
from tests.fakes.escaping import OF_A_TRAINER, REFUSED

LEAVES_ONE_BEHIND = """
import os, sys, time
pid = os.fork()
if pid == 0:
    time.sleep(600)
sys.stdout.write(f"{pid}\\n"); sys.stdout.flush()
time.sleep(600)
"""


def test_a_child_is_killed_with_what_it_has_started(scratch: Scratch) -> None:
    child = Child("test", ["-c", LEAVES_ONE_BEHIND], inherited_environment(), scratch)
    grandchild = psutil.Process(int(child.output.readline()))

    child.close()

    grandchild.wait(10)


def test_a_deadline_ends_what_the_child_has_started_too(scratch: Scratch) -> None:
    child = Child("test", ["-c", LEAVES_ONE_BEHIND], inherited_environment(), scratch)
    grandchild = psutil.Process(int(child.output.readline()))

    with pytest.raises(TimeoutError), child.deadline(0.1):
        child.output.readline()

    grandchild.wait(10)
    child.close()


def test_temporary_files_of_a_child_go_with_it(scratch: Scratch) -> None:
    program = "import tempfile; print(tempfile.mkdtemp(), flush=True); input()"
    child = Child("test", ["-c", program], inherited_environment(), scratch)
    left = Path(child.output.readline().decode().strip())
    assert left.parent.name.startswith("test-")

    child.close()

    assert not left.parent.exists()


def test_only_what_a_child_needs_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITSERVE_BROKER_URL", "redis://:secret@host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for name in ("TF_VAR_db_password", "TF_TOKEN_app_terraform_io", "TF_CLI_CONFIG_FILE", "CUDA_SECRET", "LC_TOKEN", "XPATH"):
        monkeypatch.setenv(name, "secret")
    for name in ("CUDA_VISIBLE_DEVICES", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS", "LC_ALL"):
        monkeypatch.setenv(name, "1")

    inherited = inherited_environment()

    assert {name for name, value in inherited.items() if value == "1"} >= {
        "CUDA_VISIBLE_DEVICES", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS", "LC_ALL",
    }  # fmt: skip
    assert inherited["PATH"] == os.environ["PATH"]
    assert "secret" not in " ".join(inherited.values())


def test_modules_are_looked_for_where_this_process_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "below", "/elsewhere"]))

    assert inherited_environment()["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), str(tmp_path / "below"), "/elsewhere"]


@pytest.mark.skipif(missing() is not None, reason=f"nothing is confined here: {missing()}")
def test_a_trainer_may_use_local_sockets_and_programs_but_has_no_way_out(tmp_path: Path, scratch: Scratch) -> None:
    (tmp_path / "file").write_text("x")
    environment = inherited_environment() | {"PYTHONPATH": str(Path(__file__).parents[3])}
    child = Child("test", ["-m", "tests.fakes.escaping", "trainer"], environment, scratch)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempts = [*OF_A_TRAINER, "local socket", "program"]
        child.input.write(
            orjson.dumps({"attempts": attempts, "port": listener.getsockname()[1], "elsewhere": str(tmp_path)}),
        )
        child.input.close()
        endings = orjson.loads(child.output.read())["endings"]

    child.close()
    assert {name for name, ending in endings.items() if ending not in REFUSED} == {"local socket", "program"}
    assert endings.keys() == set(attempts)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["x"]
