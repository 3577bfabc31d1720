"""``fitserve up``: the API and a worker on this machine, under one supervisor."""

import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException

import typer

from service.cli.api_processes import api_processes, role_command, supervise
from service.cli.keys import refuse_open_door
from service.cli.listening import base_url, open_listener
from service.cli.preflight import prepare_data_dir, prepare_database
from service.cli.supervisor import STOP_MARGIN_SECONDS, Child, Supervisor
from service.infra.logging import configure_logging
from service.settings import Settings

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run_up(settings: Settings, environment: Mapping[str, str]) -> int:
    """Run until asked to stop; the exit code. ``environment`` carries the command line's settings to the children."""
    prepare_data_dir(settings.data_dir)
    with open_listener(settings.host, settings.port) as listener:
        prepare_database(settings)
        refuse_open_door(settings, listener.getsockname()[0])
        configure_logging(settings)
        return _supervise(settings, environment, listener)


def _supervise(settings: Settings, environment: Mapping[str, str], listener: socket.socket) -> int:
    # When everything stops, nobody takes over, so there is nothing to drain for.
    with api_processes(settings, environment, listener, stop_signal=signal.SIGINT) as apis:
        worker = Child("worker", role_command("worker"), environment)
        return supervise(
            Supervisor(
                [*apis.children, worker],
                stop_seconds=settings.shutdown_grace_seconds + STOP_MARGIN_SECONDS,
                on_tick=_announcement(base_url(listener), settings),
                on_stop=apis.refuse_clients,
            )
        )


def _announcement(url: str, settings: Settings) -> Callable[[], None]:
    """What the supervisor calls at every tick: says once where everything is, as soon as the API is ready."""
    stop = "Ctrl-C" if sys.stdin.isatty() else f"kill {os.getpid()}"
    is_said = False

    def announce() -> None:
        nonlocal is_said
        if not is_said and answers(f"{url}/readyz"):
            is_said = True
            typer.echo(f"Fitserve is ready at {url}")
            typer.echo(f"  try it in the browser  {url}/docs")
            typer.echo(f"  everything is kept in  {settings.data_dir.absolute()}")
            typer.echo(f"  stop it with           {stop}")

    return announce


def answers(url: str, timeout_seconds: float = 0.5) -> bool:
    """Whether a GET of the address, by no proxy, is answered with success."""
    try:
        with NO_PROXY.open(url, timeout=timeout_seconds) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False
