"""What the worker may want in the midst of a job, and the exceptions that carry it out of Keras's loop."""

from collections.abc import Callable
from dataclasses import dataclass

from service.spec.frames import Keep


@dataclass(frozen=True)
class Wishes:
    """Questions that a job asks between its steps."""

    stop: Callable[[], Keep | None] = lambda: None
    """What to keep, once the job shall stop."""
    suspend: Callable[[], bool] = lambda: False
    """Whether somebody else shall go on with the job."""

    def check(self) -> None:
        """Raise SuspendAsked or StopAsked where one of them is wanted."""
        keep = self.stop()
        if keep is not None:
            raise StopAsked(keep)
        if self.suspend():
            raise SuspendAsked


class StopAsked(Exception):
    """Ends the fit at once; ``keep`` says which weights are wanted.

    Setting ``stop_training`` would still validate and report the unfinished epoch.
    """

    def __init__(self, keep: Keep) -> None:
        super().__init__(keep)
        self.keep = keep


class SuspendAsked(Exception):
    """Ends the job at once, after a snapshot where there is something to save."""
