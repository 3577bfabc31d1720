"""The command line. Composes the roles of the service into processes; knows no requests and no runs."""

import signal


def app() -> None:
    """Entry point of ``fitserve``."""
    # Until a command has a handler of its own, Ctrl-C just ends the process: no traceback out of half an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from service.cli.commands import app as commands  # after the line above, since importing takes a while

    commands(prog_name="fitserve")
