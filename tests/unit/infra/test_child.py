"""A child is ended with all that it has started, and what it needs of the environment is all that it gets."""

import os
from pathlib import Path

import psutil
import pytest

from service.infra.child import Child, inherited_environment
from service.infra.confinement import missing

LEAVES_ONE_BEHIND = """
import os, sys, time
pid = os.fork()
if pid == 0:
    time.sleep(600)
sys.stdout.write(f"{pid}\\n"); sys.stdout.flush()
time.sleep(600)
"""
OF_A_TRAINER = """
import os, socket, subprocess, sys
from service.infra.confinement import confine
confine(may_use_gpu=True)
socket.socket(socket.AF_UNIX).close()
subprocess.run([sys.executable, "-c", "pass"], check=True)
for refused in (lambda: socket.socket(socket.AF_INET), lambda: socket.socket(socket.AF_INET6), os.setsid):
    try:
        refused()
    except PermissionError:
        print("refused", flush=True)
"""


def test_a_child_is_killed_with_what_it_has_started() -> None:
    child = Child("test", ["-c", LEAVES_ONE_BEHIND], inherited_environment())
    grandchild = psutil.Process(int(child.output.readline()))

    child.close()

    grandchild.wait(10)


def test_a_deadline_ends_what_the_child_has_started_too() -> None:
    child = Child("test", ["-c", LEAVES_ONE_BEHIND], inherited_environment())
    grandchild = psutil.Process(int(child.output.readline()))

    with pytest.raises(TimeoutError), child.deadline(0.1):
        child.output.readline()

    grandchild.wait(10)
    child.close()


def test_temporary_files_of_a_child_go_with_it() -> None:
    program = "import tempfile; print(tempfile.mkdtemp(), flush=True); input()"
    child = Child("test", ["-c", program], inherited_environment())
    left = Path(child.output.readline().decode().strip())
    assert left.parent.name.startswith("fitserve-test-")

    child.close()

    assert not left.parent.exists()


def test_only_what_a_child_needs_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITSERVE_BROKER_URL", "redis://:secret@host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    inherited = inherited_environment()

    assert inherited["CUDA_VISIBLE_DEVICES"] == "1"
    assert inherited["PATH"] == os.environ["PATH"]
    assert "secret" not in " ".join(inherited.values())


@pytest.mark.skipif(missing() is not None, reason=f"nothing is confined here: {missing()}")
def test_a_trainer_may_use_local_sockets_and_programs_but_no_network() -> None:
    environment = inherited_environment() | {"PYTHONPATH": str(Path(__file__).parents[3])}
    child = Child("test", ["-c", OF_A_TRAINER], environment)

    assert child.output.read().split() == [b"refused"] * 3
    child.close()
