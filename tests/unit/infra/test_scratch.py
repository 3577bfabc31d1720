"""Folders of living processes stay, those of dead ones go."""

import fcntl
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TextIO

import pytest

from service.infra.scratch import Scratch, empty, left_in, remove_dead

OWNER = """
import sys, time
from pathlib import Path
from service.infra.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]), "dead")
with scratch.folder("run_1") as folder:
    (folder / "file").write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_there_for_the_length_of_its_block(tmp_path: Path) -> None:
    with closing(Scratch(tmp_path, "wrk_1")) as scratch:
        with scratch.folder("run_1") as folder:
            (folder / "file").write_text("x")
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_child_names_must_be_in_its_folder_and_lead_nowhere(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "database").write_text("x")
    (own / "model").write_text("x")
    (own / "link").symlink_to(tmp_path / "database")
    (own / "folder").symlink_to(tmp_path)

    assert left_in(own, str(own / "model")) == own / "model"
    for path in (tmp_path / "database", own / "link", own / "folder" / "database", own / ".." / "database", "database", ""):
        with pytest.raises(PermissionError):
            left_in(own, str(path))


def test_emptying_a_folder_does_not_follow_links(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    (own / "below").mkdir(parents=True)
    (own / "below" / "file").write_text("x")
    (own / "file").write_text("x")
    other.mkdir()
    (other / "file").write_text("x")
    (own / "link").symlink_to(other)

    empty(own)

    assert (list(own.iterdir()), list(other.iterdir())) == ([], [other / "file"])


def test_only_the_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    with closing(Scratch(tmp_path, "alive")) as scratch, scratch.folder("run_1") as folder:
        process = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        assert remove_dead(tmp_path) == 0
        process.kill()
        process.wait()
        process.stdout.close()
        assert remove_dead(tmp_path) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["alive"]
        assert folder.exists()


def test_a_folder_that_was_removed_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def lock_late(file: TextIO, how: int) -> None:
        monkeypatch.undo()
        assert remove_dead(tmp_path) == 1
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with closing(Scratch(tmp_path, "alive")) as scratch, scratch.folder("run_1") as folder:
        assert folder.exists()
        assert remove_dead(tmp_path) == 0


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    with closing(Scratch(tmp_path, "idle")):
        assert list(tmp_path.iterdir()) == []
