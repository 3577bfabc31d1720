"""The command line. Composes the roles of the service into processes; knows no requests and no runs."""

import os
import signal
from types import FrameType


def app() -> None:
    """Entry point of ``fitserve``."""
    # Until a command has handlers of its own: no traceback out of half an import, and a container's first process,
    # which has no default handlers, can be stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_at_once)
    from service.cli.commands import app as commands  # after the lines above, since importing takes a while

    commands(prog_name="fitserve")


def _leave_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
