"""What the command line says: help for newcomers, and one line for every mistake in the configuration."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMANDS = ["up", "api", "worker", "migrate", "gc", "backup", "restore", "demo"]


def fitserve(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FITSERVE_")}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=cwd,
        env={
            **inherited,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "COLUMNS": "100",
            "NO_COLOR": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_line(result: subprocess.CompletedProcess[str], code: int = 78) -> str:
    """The single line on standard error of a command that could not do its work; 78 is a wrong configuration."""
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines), result.stdout) == (code, 1, ""), result
    return lines[0]


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_help_names_every_command_and_where_to_begin(tmp_path: Path) -> None:
    said = fitserve("--help", cwd=tmp_path).stdout
    assert all(command in said for command in COMMANDS)
    assert "'fitserve demo' shows everything once" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    result = fitserve(command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "--data-dir" in result.stdout


def test_a_taken_port_is_one_line(taken_port: str, tmp_path: Path) -> None:
    line = only_line(fitserve("up", "--port", taken_port, cwd=tmp_path))
    assert line == f"fitserve: Port {taken_port} on 127.0.0.1 is taken by another program. Choose another with --port."


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    line = only_line(fitserve("up", "--host", "192.0.2.1", "--port", "0", cwd=tmp_path))
    assert line == "fitserve: 192.0.2.1 is no address of this machine. Choose another with --host."


@pytest.mark.parametrize("command", ["up", "worker", "migrate", "demo"])
def test_a_data_folder_that_is_a_file_is_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = only_line(fitserve(command, "--data-dir", "file", cwd=tmp_path))
    assert line == "fitserve: The data folder 'file' cannot be written: File exists. Choose another with --data-dir."


@pytest.mark.skipif(sys.platform != "linux", reason="/proc can be written by nobody, not even root")
def test_a_data_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    assert "cannot be written" in only_line(fitserve("up", "--data-dir", "/proc/fitserve", cwd=tmp_path))


def test_an_impossible_setting_of_the_environment_is_named(tmp_path: Path) -> None:
    line = only_line(fitserve("up", cwd=tmp_path, FITSERVE_SLOTS="many"))
    assert line.startswith("fitserve: FITSERVE_SLOTS cannot be 'many': ")


def test_an_impossible_option_is_named(tmp_path: Path) -> None:
    line = only_line(fitserve("up", "--port", "70000", cwd=tmp_path))
    assert line.startswith("fitserve: --port cannot be '70000': ")


def test_an_unreachable_database_is_one_line(tmp_path: Path) -> None:
    url = "postgresql+psycopg://nobody:secret@127.0.0.1:1/none"
    line = only_line(fitserve("migrate", cwd=tmp_path, FITSERVE_DATABASE_URL=url), code=75)
    assert "secret" not in line


def test_an_empty_database_is_migrated_and_then_up_to_date(tmp_path: Path) -> None:
    assert "went from empty to revision" in fitserve("migrate", cwd=tmp_path).stdout
    assert "is up to date" in fitserve("migrate", cwd=tmp_path).stdout


def test_a_worker_refuses_an_empty_database_and_says_what_to_do(tmp_path: Path) -> None:
    assert "Run 'fitserve migrate' first" in only_line(fitserve("worker", cwd=tmp_path))
