"""One API process: a uvicorn server on a socket that was bound before."""

import asyncio
import gc
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextvars import Context
from types import FrameType
from typing import cast

import uvicorn
from prometheus_client import Gauge

from service.cli.accepting import Acceptor
from service.cli.keys import refuse_open_door
from service.cli.listening import base_url, inherited_siblings, open_listener
from service.cli.preflight import check_role, tell_of_missing_confinement
from service.cli.standing_in import StandIn
from service.infra.allocator import keep_little_memory
from service.infra.logging import configure_logging, get_logger
from service.infra.telemetry import prepare_traces
from service.main import Application, create_app
from service.settings import Settings
from service.web.connections import BoundedConnection

log = get_logger(__name__)

API_PROCESSES = Gauge("fitserve_api_processes", "API processes that answer at this address.", multiprocess_mode="livesum")
LAST_REQUESTS_SECONDS = 2.0
SWITCH_SECONDS = 0.0005
"""How long a thread that asks the database may keep the event loop waiting; Python's own 5 ms would be seen in every tail."""
COLLECT_AFTER = 50_000, 10, 10
"""The garbage collector's thresholds. A prediction of 1,000 rows makes some thousand objects that are gone with it; with
Python's own 700 the collector took a fifth of the time."""
TICKS_PER_SECOND = 10
"""How often uvicorn's server has a look at things."""
EXIT_FAILED_START = 3
"""The application did not start; its reason is in the log."""


def run_api(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    keep_little_memory()
    with open_listener(settings.host, settings.port) as listener:
        check_role(settings)
        refuse_open_door(settings, listener.getsockname()[0])
        configure_logging(settings)
        tell_of_missing_confinement()
        prepare_traces()
        return _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> int:
    siblings = inherited_siblings()
    application = create_app(settings, processes=1 + len(siblings))
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=application.http_protocol,
        ws="none",
        interface="asgi3",
        proxy_headers=False,  # nothing here needs the client's address, and anybody can send such headers
        lifespan="on",
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        server_header=False,
        access_log=False,
        log_config=None,
    )
    server = DrainingServer(config, application, settings.drain_seconds, siblings)
    log.info("api.starting", url=base_url(listener))
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is there now stays: a collection need not look at it while requests wait
    gc.set_threshold(*COLLECT_AFTER)
    server.run(sockets=[listener])
    return 0 if server.started else EXIT_FAILED_START


class DrainingServer(uvicorn.Server):
    """On SIGTERM it goes on answering for a while before it stops; on SIGINT, and on any second signal, it stops at once.

    Unlike uvicorn's own it does not raise the signal again at the end: a requested stop would look like a crash.
    """

    def __init__(
        self, config: uvicorn.Config, application: Application, drain_seconds: float, siblings: Sequence[socket.socket]
    ) -> None:
        """``siblings``: the sockets of other processes, whose connections it takes where they wait in vain."""
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds
        self._is_draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._siblings = siblings
        self._standing_in: asyncio.Task[None] | None = None
        self._acceptors: list[Acceptor] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal. It may come in the midst of a line of the log, or of a request, whose id shall not be in other lines."""
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._leave, sig, context=Context())

    def _leave(self, sig: int) -> None:
        if sig != signal.SIGTERM or self._is_draining:
            self._stop()
            return
        self._is_draining = True
        log.info("api.draining", seconds=self._drain_seconds)
        self._application.begin_drain()
        timer = threading.Timer(self._drain_seconds, self._stop)
        timer.daemon = True
        timer.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer from now on."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._acceptors = [Acceptor(listener, self._make_protocol) for listener in sockets or []]
        API_PROCESSES.set(1)
        if self._siblings:
            self._standing_in = asyncio.create_task(StandIn(self._siblings, self._make_protocol).run())

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second; true ends the server."""
        if counter % TICKS_PER_SECOND == 0:
            for connection in list(self.server_state.connections):
                cast(BoundedConnection, connection).look(seconds=1)
        return await super().on_tick(counter)

    def _make_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, answer those that are there, then close what is idle.

        uvicorn does the last at once, also to a connection whose first request is on its way.
        """
        self._leave_siblings()
        for acceptor in self._acceptors:
            acceptor.close()
        if self._is_draining:
            for server in self.servers:
                server.close()
            deadline = time.monotonic() + LAST_REQUESTS_SECONDS
            while self.server_state.connections and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _leave_siblings(self) -> None:
        if self._standing_in is not None:
            self._standing_in.cancel()
        for sibling in self._siblings:
            sibling.close()

    def _stop(self) -> None:
        self._application.end_streams()
        self.should_exit = True
