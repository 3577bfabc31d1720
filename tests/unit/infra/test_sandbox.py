import sys
from pathlib import Path

import pytest

from service.infra.sandbox import Limits, SandboxFailed, run_sandboxed

GENEROUS = Limits(seconds=60, memory_bytes=4 * 1024**3)
PARSER = "service.datasets.parsing"


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
