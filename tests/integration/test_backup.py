"""A backup holds everything and is whole or not there; a restore brings all of it back or nothing."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from service.cli.backup import run_restore
from service.infra.artifacts import LocalArtifactStore, object_key
from service.infra.database import Database, make_engine
from service.infra.migrations import upgrade
from service.runs.tables import Run, RunArtifact
from service.settings import Settings
from tests.factories import new_run


def fitserve(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FITSERVE_")}
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The folder of a service that has fitted a run."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = Settings(data_dir=folder)
    upgrade(settings)
    content = tmp_path / "content"
    content.write_bytes(os.urandom(3_000_000))
    sha256 = LocalArtifactStore(folder / "artifacts").put_file(content)
    database = Database(make_engine(settings))
    with database.write() as session:
        new_run(session, id="run_1", dataset_files={"kind": "table", "files": {"table": sha256}})
        session.flush()
        session.add(RunArtifact(run_id="run_1", name="model.keras", sha256=sha256, size_bytes=3_000_000, media_type="x/y"))
    database.close()
    return folder


def artifact_of(folder: Path) -> Path:
    (path,) = folder.glob("artifacts/sha256/??/*")
    return path


def test_what_was_backed_up_comes_back(data_dir: Path, tmp_path: Path) -> None:
    archive, restored = tmp_path / "backup.tar", tmp_path / "restored"
    assert "1 files" in fitserve("backup", str(archive), "--data-dir", str(data_dir)).stdout
    assert "1 files" in fitserve("restore", str(archive), "--data-dir", str(restored)).stdout
    assert artifact_of(restored).read_bytes() == artifact_of(data_dir).read_bytes()
    database = Database(make_engine(Settings(data_dir=restored)))
    with database.read() as session:
        assert session.get_one(Run, "run_1").state == "queued"
    database.close()
    assert fitserve("gc", "--data-dir", str(restored)).returncode == 0


def test_neither_writes_over_what_is_there(data_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    fitserve("backup", str(archive), "--data-dir", str(data_dir))
    again = fitserve("backup", str(archive), "--data-dir", str(data_dir))
    assert (again.returncode, again.stderr.count("\n")) == (78, 1)
    over = fitserve("restore", str(archive), "--data-dir", str(data_dir))
    assert (over.returncode, over.stderr.count("\n")) == (78, 1)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_file_that_is_not_whole_is_named_and_no_backup_is_written(data_dir: Path, tmp_path: Path, damage: str) -> None:
    path, archive = artifact_of(data_dir), tmp_path / "backup.tar"
    path.unlink() if damage == "missing" else path.write_bytes(b"other")
    result = fitserve("backup", str(archive), "--data-dir", str(data_dir))
    assert result.returncode == 78
    assert path.name in result.stderr
    assert not archive.exists()


@pytest.mark.parametrize("cut", [100, 2_000_000, -3_000_000])
def test_a_backup_that_was_cut_off_is_refused(data_dir: Path, tmp_path: Path, cut: int) -> None:
    archive, restored = tmp_path / "backup.tar", tmp_path / "restored"
    fitserve("backup", str(archive), "--data-dir", str(data_dir))
    archive.write_bytes(archive.read_bytes()[:cut])
    result = fitserve("restore", str(archive), "--data-dir", str(restored))
    assert (result.returncode, result.stderr.count("\n")) == (78, 1), result.stderr
    assert not restored.exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "sha256/00/../../evil"])
def test_an_entry_that_leads_out_of_the_folder_is_refused(data_dir: Path, tmp_path: Path, name: str) -> None:
    archive, restored = tmp_path / "backup.tar", tmp_path / "restored"
    fitserve("backup", str(archive), "--data-dir", str(data_dir))
    with tarfile.open(archive, "a") as file:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        file.addfile(entry, io.BytesIO(b"evil"))
    result = fitserve("restore", str(archive), "--data-dir", str(restored))
    assert result.returncode == 78
    assert "no backup has" in result.stderr
    assert not restored.exists()


def test_a_link_in_the_place_of_a_file_is_refused(data_dir: Path, tmp_path: Path) -> None:
    archive, restored = tmp_path / "backup.tar", tmp_path / "restored"
    fitserve("backup", str(archive), "--data-dir", str(data_dir))
    with tarfile.open(archive, "a") as file:
        entry = tarfile.TarInfo(object_key("0" * 64))
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(entry)
    assert fitserve("restore", str(archive), "--data-dir", str(restored)).returncode == 78
    assert not restored.exists()


def test_another_database_is_pointed_to_the_documentation(data_dir: Path, tmp_path: Path) -> None:
    result = fitserve("backup", str(tmp_path / "b.tar"), FITSERVE_DATABASE_URL="postgresql+psycopg://x@127.0.0.1:1/x")
    assert result.returncode == 78
    assert "docs/operations.md" in result.stderr


KILL_AT = """
import os, signal, sys
import service.cli.backup as backup
steps, last = 0, int(sys.argv[1])
def count(*_):
    global steps
    steps += 1
    if steps == last:
        os.kill(os.getpid(), signal.SIGKILL)
real_replace, real_fsync = backup.Path.replace, backup.os.fsync
backup.Path.replace = lambda *a: (count(), real_replace(*a), count())[1]
backup.os.fsync = lambda *a: (count(), real_fsync(*a), count())[1]
sys.argv = ["fitserve", *sys.argv[2:]]
from service.cli.commands import app
app()
"""


def killed_at(step: int, *arguments: str) -> bool:
    """Run a command that is killed at one of its writes; whether it came so far."""
    command = [sys.executable, "-c", KILL_AT, str(step), *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == -signal.SIGKILL


def test_a_kill_leaves_a_whole_backup_or_none(data_dir: Path, tmp_path: Path) -> None:
    for step in range(1, 20):
        archive, restored = tmp_path / f"{step}.tar", tmp_path / f"restored-{step}"
        was_killed = killed_at(step, "backup", str(archive), "--data-dir", str(data_dir))
        if archive.exists():
            run_restore(Settings(data_dir=restored), archive)
        if not was_killed:
            break
    assert step > 4
    assert archive.exists()


def test_a_kill_leaves_the_whole_restored_folder_or_none_and_it_can_be_repeated(data_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    fitserve("backup", str(archive), "--data-dir", str(data_dir))
    for step in range(1, 20):
        restored = tmp_path / f"restored-{step}"
        was_killed = killed_at(step, "restore", str(archive), "--data-dir", str(restored))
        if not restored.exists():
            run_restore(Settings(data_dir=restored), archive)
        assert artifact_of(restored).read_bytes() == artifact_of(data_dir).read_bytes()
        if not was_killed:
            break
    assert step > 4
