"""Several API processes at one address, as children of a supervisor. Loads nothing of what they need themselves."""

import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from service.cli.keys import refuse_open_door
from service.cli.listening import base_url, handed_over, open_listener, share_address
from service.cli.preflight import check_role
from service.cli.supervisor import STOP_MARGIN_SECONDS, Child, GaveUp, Supervisor
from service.infra.ids import new_id
from service.infra.logging import configure_logging, get_logger
from service.infra.metrics import counting_together, forget_dead
from service.infra.scratch import Scratch
from service.settings import Settings

log = get_logger(__name__)


@dataclass(frozen=True)
class ApiProcesses:
    """The children, and the sockets that are kept open for those of them that are away."""

    children: list[Child]
    listeners: list[socket.socket]

    def refuse_clients(self) -> None:
        """Keep no new clients waiting, since no child will be started again."""
        for listener in self.listeners:
            listener.close()


def run_api_processes(settings: Settings, environment: Mapping[str, str]) -> int:
    """Keep several API processes running until SIGTERM or SIGINT; the exit code."""
    with open_listener(settings.host, settings.port) as listener:
        check_role(settings)
        refuse_open_door(settings, listener.getsockname()[0])
        configure_logging(settings)
        log.info("api.starting", url=base_url(listener), processes=settings.workers)
        stop_seconds = settings.drain_seconds + settings.shutdown_grace_seconds + STOP_MARGIN_SECONDS
        with api_processes(settings, environment, listener, stop_signal=None) as apis:
            return supervise(Supervisor(apis.children, stop_seconds, on_stop=apis.refuse_clients))


def supervise(supervisor: Supervisor) -> int:
    """Run it to its end; the exit code. Says why where it gives up."""
    try:
        supervisor.run()
    except GaveUp as reason:
        typer.echo(f"fitserve: {reason}", err=True)
        return reason.exit_code
    return 0


@contextmanager
def api_processes(
    settings: Settings, environment: Mapping[str, str], listener: socket.socket, stop_signal: signal.Signals | None
) -> Iterator[ApiProcesses]:
    """As many API processes as the settings say, which share the listener's address and count together."""
    listeners = share_address(listener, settings.workers)
    if settings.workers == 1:
        yield ApiProcesses([_child("api", {**environment, **handed_over(listener)}, listeners, stop_signal)], listeners)
        return
    scratch = Scratch(settings.scratch_folder, new_id("api"))
    try:
        with scratch.folder("metrics") as folder:
            numbers = range(1, settings.workers + 1)
            children = [_numbered(number, environment, listeners, folder, stop_signal) for number in numbers]
            yield ApiProcesses(children, listeners)
    finally:
        scratch.close()


def _numbered(
    number: int,
    environment: Mapping[str, str],
    listeners: list[socket.socket],
    folder: Path,
    stop_signal: signal.Signals | None,
) -> Child:
    own = listeners[number - 1]
    siblings = [listener for listener in listeners if listener is not own]
    shared = {**handed_over(own, siblings), **counting_together(folder, number)}
    child = _child(f"api {number}", {**environment, **shared, "FITSERVE_WORKERS": "1"}, listeners, stop_signal)
    child.on_end = lambda: forget_dead(folder, number)
    return child


def _child(
    name: str, environment: Mapping[str, str], listeners: list[socket.socket], stop_signal: signal.Signals | None
) -> Child:
    numbers = sorted({listener.fileno() for listener in listeners})
    return Child(name, role_command("api"), environment, pass_fds=numbers, stop_signal=stop_signal)


def role_command(name: str) -> list[str]:
    """The command line of a role in a process of its own."""
    return [sys.executable, "-m", "service.cli", name]
