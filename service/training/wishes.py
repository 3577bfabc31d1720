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

    def check(self, has_weights: bool) -> None:
        """Raise SuspendAsked or StopAsked where one of them is wanted, before the fit goes on.

        ``has_weights``: whether an earlier attempt has left some; then a stop that keeps weights waits until they are there.
        """
        keep = self.stop()
        if keep == "none" or (keep is not None and not has_weights):
            raise StopAsked(keep)
        if keep is None and self.suspend():
            raise SuspendAsked

    def check_kept(self) -> None:
        """Raise StopAsked where the result is not wanted any more."""
        if self.stop() == "none":
            raise StopAsked("none")


class StopAsked(Exception):
    """Ends the fit at once; ``keep`` says which weights are wanted.

    Setting ``stop_training`` would still validate and report the unfinished epoch.
    """

    def __init__(self, keep: Keep) -> None:
        super().__init__(keep)
        self.keep = keep


class SuspendAsked(Exception):
    """Ends the job at once, after a snapshot where there is something to save."""
