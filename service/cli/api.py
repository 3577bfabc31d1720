"""The API role: one uvicorn server on a socket that was bound before."""

import signal
import socket
from types import FrameType

import uvicorn

from service.cli.listening import base_url, open_listener
from service.cli.preflight import check_role
from service.infra.logging import configure_logging, get_logger
from service.main import create_app
from service.settings import Settings

log = get_logger(__name__)

EXIT_FAILED_START = 3
"""The application did not start; its reason is in the log."""


def run_api(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    with open_listener(settings.host, settings.port) as listener:
        check_role(settings)
        configure_logging(settings)
        return _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> int:
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            loop="uvloop",
            http="httptools",
            lifespan="on",
            timeout_graceful_shutdown=settings.shutdown_grace_seconds,
            server_header=False,
            access_log=False,
            log_config=None,
        )
    )
    _end_quietly(server)
    log.info("api.starting", url=base_url(listener))
    server.run(sockets=[listener])
    return 0 if server.started else EXIT_FAILED_START


def _end_quietly(server: uvicorn.Server) -> None:
    # uvicorn raises the signal that stopped it once more at the end, and a requested stop would look like a crash.
    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
