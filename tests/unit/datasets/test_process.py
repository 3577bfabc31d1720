"""What is read by a process of its own, and what that process answers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.datasets import service
from service.datasets.parsing.__main__ import answer_to
from service.datasets.service import DatasetService, Upload
from service.infra.artifacts import LocalArtifactStore
from service.infra.sandbox import Limits, run_sandboxed
from service.infra.scratch import Scratch
from service.settings import Settings
from tests.unit.datasets.making import npz, parquet, zipped

PARSER = "service.datasets.parsing"
HEAVY = ("pyarrow", "PIL", "keras", "tensorflow")


def test_the_api_loads_nothing_that_only_the_parser_needs() -> None:
    code = f"import service.main, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_told_apart_from_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(npz(x=np.zeros(1000)))
    (tmp_path / "member-0.npy").symlink_to("/dev/full")
    assert answer_to({"path": str(tmp_path / "upload")}) == {"error": "disk_full"}


def test_an_error_is_told_in_full(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"a,b\n1\n")
    answer = answer_to({"path": str(tmp_path / "upload")})
    assert answer["error"] == "invalid"
    assert answer["problems"][0]["pointer"] == "file"
    (tmp_path / "upload").write_bytes(zipped({"x.npy": b"\x93NUMPY"}))
    assert answer_to({"path": str(tmp_path / "upload")})["error"] == "malformed"


def test_a_large_file_is_read_within_the_memory_that_is_allowed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=2_000_000)
    (tmp_path / "upload").write_bytes(parquet({"a": values, "b": values, "c": values.astype(str)}))
    allowed = Limits(seconds=120, memory_bytes=Settings.model_fields["parse_memory_bytes"].default)
    answer = run_sandboxed(PARSER, {"path": str(tmp_path / "upload")}, tmp_path, allowed)
    assert answer["dataset"]["rows"] == 2_000_000


def test_a_parser_cannot_have_a_file_of_others_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: Scratch
) -> None:
    monkeypatch.setattr(service, "PARSER", "tests.fakes.thieving_parser")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    database = tmp_path / "fitserve.db"
    database.write_text("rows of others")
    datasets = DatasetService(LocalArtifactStore(tmp_path / "artifacts"), Settings(data_dir=tmp_path), lambda *_: 0, scratch)

    with datasets.receiving_folder() as folder:
        upload = Upload(folder / "upload", "name", target=str(database))
        upload.path.write_text("a,b")
        with pytest.raises(PermissionError):
            datasets.prepare(upload)

    assert database.read_text() == "rows of others"
