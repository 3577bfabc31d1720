"""A trainer without a process: it says what the test has written down for it."""

from service.spec.frames import Command, Report
from service.worker.trainers import TrainerGone


class FakeTrainer:
    """Answers ``receive`` with the reports of its script; an exception in it is raised, and after the end it is silent."""

    def __init__(self, *script: Report | TrainerGone) -> None:
        self._script = list(script)
        self.commands: list[Command] = []
        self.is_killed = False

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

    def kill(self) -> None:
        """Remember that it was killed."""
        self.is_killed = True
