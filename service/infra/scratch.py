"""Folders for files that are needed only while something goes on: one per process, which others remove once it is dead.

What a child process has left in such a folder is taken for no more than that.
"""

import fcntl
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LOCK = "lock"


class Scratch:
    """A folder of this process below ``root``, made when it is needed.

    The kernel lets go of its lock however the process ends.
    """

    def __init__(self, root: Path, owner: str) -> None:
        self._folder = root / owner
        self._opening = threading.Lock()
        self._lock: TextIO | None = None

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder for the length of the block."""
        self._open()
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=f"{name}-", ignore_cleanup_errors=True) as path:
            yield Path(path)

    def close(self) -> None:
        """Remove the folder."""
        with self._opening:
            if self._lock is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._lock.close()
                self._lock = None

    def _open(self) -> None:
        with self._opening:
            while self._lock is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = (self._folder / LOCK).open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (self._folder / LOCK).exists():
                    self._lock = lock
                else:  # somebody took the folder for a dead one's before the lock was ours
                    lock.close()


def left_in(folder: Path, path: str) -> Path:
    """A file of which a child process says that it has left it in its folder.

    Raises PermissionError where it is not there, or leads elsewhere: this process may move and read more than the child.
    """
    file = Path(path)
    if file.parent != folder or file.is_symlink():
        raise PermissionError("A child process names a file that is not in its folder.")
    return file


def empty(folder: Path) -> None:
    """Remove what is in a folder, as far as that is possible, but not the folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def remove_dead(root: Path) -> int:
    """Remove the folders of processes that have ended; returns how many. Safe when several processes do it at once."""
    return sum(_remove_if_dead(folder) for folder in root.glob("*/"))


def _remove_if_dead(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            return True
    except OSError:  # its owner lives, has not written its lock yet, or somebody else removes it
        return False
