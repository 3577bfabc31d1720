"""A trainer without a process: it says what the test has written down for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.spec.frames import Command, Report
from service.worker.trainers import TrainerGone


class FakeTrainer:
    """Answers ``receive`` with the reports of its script; an exception in it is raised, and after the end it is silent."""

    def __init__(self, *script: Report | TrainerGone) -> None:
        self._script = list(script)
        self.commands: list[Command] = []
        self.is_killed = False
        self.exceeded_memory_bytes: int | None = None
        self._printed: list[str] = []
        self.folder = Path()
        """Set by whoever has it work."""

    @contextmanager
    def job_folder(self) -> Iterator[Path]:
        """The folder in which the files of the script lie; nothing is removed."""
        yield self.folder

    def send(self, command: Command) -> None:
        """Remember the command."""
        self.commands.append(command)

    def receive(self, timeout_seconds: float) -> Report | None:
        """The next report of the script; None, at once, after the last."""
        if not self._script:
            return None
        step = self._script.pop(0)
        if isinstance(step, TrainerGone):
            raise step
        return step

    def take_printed(self) -> list[str]:
        """The lines of ``script_prints``, once the job has begun."""
        if not self.commands:
            return []
        lines, self._printed = self._printed, []
        return lines

    def script_prints(self, *lines: str) -> None:
        """Print these lines during the job."""
        self._printed.extend(lines)

    def memory_bytes(self) -> int:
        """Nothing."""
        return 0

    def kill(self, exceeded_memory_bytes: int | None = None) -> None:
        """Remember that it was killed."""
        self.is_killed = True
        self.exceeded_memory_bytes = exceeded_memory_bytes
