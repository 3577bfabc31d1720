"""The Makefile, on machines that have nothing, and on machines that have not enough."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with just what ``make`` reads, and an empty ``bin`` to put commands into."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def make(target: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run make where only ``bin`` is on the PATH, apart from the shell's own commands."""
    for command in ("sh", "awk", "echo", "test", "env"):
        if found := shutil.which(command):
            (checkout / "bin" / command).symlink_to(found)
    environment = {**os.environ, "PATH": str(checkout / "bin"), "MAKEFLAGS": ""}
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, target], cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def add_python(checkout: Path, name: str, body: str) -> None:
    script = checkout / "bin" / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


def test_help_names_every_target_that_people_use(checkout: Path) -> None:
    said = make("help", checkout).stdout
    assert all(f"make {name}" in said for name in ("install", "demo", "run", "test", "fuzz", "chaos", "check", "bench", "clean"))


def test_a_machine_without_python_is_told_so_in_one_line(checkout: Path) -> None:
    result = make("install", checkout)
    assert result.stderr.splitlines()[0] == "Fitserve needs Python 3.11, 3.12 or 3.13, and none is on the PATH."
    assert result.returncode != 0


def test_a_python_that_is_too_old_or_too_new_is_no_python(checkout: Path) -> None:
    add_python(checkout, "python3", "exit 1")
    assert "needs Python 3.11, 3.12 or 3.13" in make("install", checkout).stderr


def test_a_python_without_ensurepip_is_told_what_to_install(checkout: Path) -> None:
    add_python(checkout, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    assert "apt install python3-venv" in make("install", checkout).stderr.splitlines()[0]
