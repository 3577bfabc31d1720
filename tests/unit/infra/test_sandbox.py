import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.infra.confinement import missing
from service.infra.sandbox import Limits, SandboxFailed, run_sandboxed
from tests.fakes.escaping import ATTEMPTS, REFUSED

GENEROUS = Limits(seconds=60, memory_bytes=4 * 1024**3)
PARSER = "service.datasets.parsing"
confined = pytest.mark.skipif(missing() is not None, reason=f"nothing is confined here: {missing()}")


def escape(folder: Path, monkeypatch: pytest.MonkeyPatch, *attempts: str, **request: object) -> dict[str, Any]:
    """What a child says that tries to get out."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    return run_sandboxed("tests.fakes.escaping", {"attempts": attempts} | request, folder, GENEROUS)


def request_for(path: Path, **fields: object) -> dict[str, object]:
    return {"path": str(path), "format": "csv", "target": None, "max_rows": 10**6, "max_columns": 100} | fields


def test_the_child_answers_what_it_made_of_the_request(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a,b\n1,x\n2,y\n")

    answer = run_sandboxed(PARSER, request_for(tmp_path / "upload"), tmp_path, GENEROUS)

    assert answer["dataset"]["rows"] == 2


def test_a_child_over_its_time_is_killed(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a,b\n1,2\n")

    with pytest.raises(SandboxFailed, match=r"longer than 0\.01 seconds"):
        run_sandboxed(PARSER, request_for(tmp_path / "upload"), tmp_path, Limits(0.01, 4 * 1024**3))


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_a_child_over_its_memory_fails(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a,b\n1,2\n")

    with pytest.raises(SandboxFailed):
        run_sandboxed(PARSER, request_for(tmp_path / "upload"), tmp_path, Limits(60, 32 * 1024**2))


def test_a_file_in_the_folder_cannot_take_the_place_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit(9)")
    (tmp_path / "upload").write_text("a\n1\n")

    assert run_sandboxed(PARSER, request_for(tmp_path / "upload"), tmp_path, GENEROUS)["dataset"]["rows"] == 1


@confined
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_kernel_refuses_a_child_all_ways_out(attempt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    for folder in (own, elsewhere):
        folder.mkdir()
    (elsewhere / "file").write_text("x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = escape(own, monkeypatch, attempt, port=listener.getsockname()[1], elsewhere=str(elsewhere))

    assert said["endings"].keys() == {attempt}
    assert said["endings"][attempt] in REFUSED
    assert [file.read_text() for file in elsewhere.iterdir()] == ["x"]


@confined
def test_a_child_may_write_in_its_own_folder_and_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_text("x")

    said = escape(tmp_path, monkeypatch, "changing a file", "making a file", "moving a file", elsewhere=str(tmp_path / "below"))

    assert set(said["endings"].values()) == {"done"}
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")} == {"below", "below/new", "mine"}


def test_a_child_finds_no_secret_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FITSERVE_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS", "PGPASSWORD"):
        monkeypatch.setenv(name, "postgresql+psycopg://user:hunter2@host/name")

    assert not any("hunter2" in value for value in escape(tmp_path, monkeypatch)["environment"].values())


def test_temporary_files_of_a_child_go_into_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert escape(tmp_path, monkeypatch)["temporary_folder"] == str(tmp_path)


def test_nothing_of_a_child_is_left_after_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(psutil.pids())

    pid = escape(tmp_path, monkeypatch, "fork")["pid"]

    assert [left for left in set(psutil.pids()) - before if _group_of(left) == pid] == []


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
