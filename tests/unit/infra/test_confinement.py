"""What a confined process can still do, and what is said where nothing is confined. What it cannot: ``test_sandbox``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.cli.preflight import tell_of_missing_confinement
from service.infra import confinement
from service.infra.system_calls import REFUSED

ROOT = Path(__file__).parents[3]
MOVE = """
import os, sys, threading
from service.infra.confinement import confine
confine(["."])
os.mkdir("from"); os.mkdir("to")
open("from/file", "w").close()
os.rename("from/file", "to/file")
thread = threading.Thread(target=print, args=("a thread",))
thread.start(); thread.join()
sys.stdout.flush()
os.kill(os.getpid(), 0)
open("/dev/null", "w").close()
os.abort()
"""


def test_a_confined_process_may_move_files_start_threads_and_end_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MOVE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("a thread\n", "", -6)
    assert (tmp_path / "to" / "file").exists()


def test_where_nothing_is_confined_the_log_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement.platform, "machine", lambda: "riscv64")

    with capture_logs() as lines:
        tell_of_missing_confinement()

    assert [(line["event"], line["log_level"]) for line in lines] == [("children.not_confined", "warning")]


@pytest.mark.skipif(confinement.missing() is not None, reason="nothing is confined here")
def test_where_children_are_confined_the_log_is_silent() -> None:
    with capture_logs() as lines:
        tell_of_missing_confinement()

    assert lines == []


HEADERS = Path("/usr/include")


@pytest.mark.parametrize(
    ("header", "place"), [("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)], ids=["x86-64", "ARM64"]
)
def test_numbers_of_system_calls_are_those_of_the_headers_of_linux(header: str, place: int) -> None:
    path = HEADERS / header
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())}

    known = {name: pair[place] for name, pair in REFUSED.items() if name in numbers}

    assert known == {name: numbers[name] for name in known}
    assert len(known) > len(REFUSED) - 10, "those that are newer than the headers are few"
