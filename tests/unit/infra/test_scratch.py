"""Folders of living processes stay, those of dead ones go."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from service.infra.scratch import Scratch, remove_dead

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
