"""The demo as a newcomer starts it: it ends well, leaves nothing running, and can be interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.servers import free_port


def start_demo(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service.cli", "demo", "--data-dir", str(folder), "--port", str(free_port())]
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def left_by(demo: subprocess.Popen[str], known: list[psutil.Process]) -> list[psutil.Process]:
    """Descendants of the demo that still run a few seconds after it has ended."""
    demo.wait(60)
    _, alive = psutil.wait_procs(known, timeout=15)
    return alive


def test_the_demo_ends_well_twice_in_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        demo = start_demo(tmp_path)
        output, _ = demo.communicate(timeout=200)

        assert demo.returncode == 0, output
        assert "Right on" in output
        assert "epoch 20/20" in output
        assert "/docs" in output


@pytest.mark.parametrize("seconds", [1.5, 6.0])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, seconds: float) -> None:
    demo = start_demo(tmp_path)
    time.sleep(seconds)
    children = psutil.Process(demo.pid).children(recursive=True)

    demo.send_signal(signal.SIGINT)

    assert left_by(demo, children) == []
    assert demo.returncode == 130
    assert demo.stdout is not None
    demo.stdout.close()
