"""Bounds how many requests of the control plane are let in and worked on, so that those that are let in are answered soon."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Unavailable
from service.infra.overload import Limit
from service.web.answer_log import PROBES
from service.web.problems import headers_for, status_of
from service.web.refusals import refuse

AT_WORK = 32
"""Requests that are worked on at once, each in a thread; the others that are let in wait for their turn."""
LET_IN_UNDER_LOAD = 4
"""While more is asked than can be answered: enough to keep the database busy, and few enough to be answered soon."""
RUNS = "/api/runs/"
UPLOADS = "/api/datasets"


def busy() -> Unavailable:
    """The error of a process that works on as much as it can."""
    return Unavailable("As many requests wait here as may. Send the request again later.", retry_after_seconds=1)


class BoundedRequests:
    """Lets requests in while there is room; a request takes it from its last byte to the first one of its answer.

    Where there is none when its head comes, nothing of it is read by anybody: an application refuses at a much higher price.
    Clients that are slow to send or to take something need none, nor do event streams. Uploads and those that wait for a
    run (``Prefer: wait``) have limits of their own, and probes are always let in.
    """

    def __init__(self, app: ASGIApp, limit: Limit) -> None:
        self._app = app
        self.limit = limit
        self._let_in = 0
        self.places = asyncio.Semaphore(AT_WORK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_limit_of_its_own(scope):
            await self._app(scope, receive, send)
            return
        room = _Room(self)

        async def receive_within_limit() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not await room.take():
                raise busy()
            return message

        async def send_and_leave(message: Message) -> None:
            room.leave()
            await send(message)

        try:
            if self.has_room() if _has_body(scope) else await room.take():
                await self._app(scope, receive_within_limit, send_and_leave)
            else:
                error = busy()
                await refuse(scope, send, status_of(error), error.message, headers_for(error))
        finally:
            room.leave()

    def has_room(self) -> bool:
        """Whether one more may be let in; whoever hears no has to be refused."""
        return self.limit.takes(self._let_in)

    def enter(self) -> bool:
        """Let one more in, where there is room; whether there was."""
        is_let_in = self.has_room()
        self._let_in += is_let_in
        return is_let_in

    def leave(self) -> None:
        """One is answered."""
        self._let_in -= 1


class _Room:
    """What one request takes, at most once."""

    def __init__(self, requests: BoundedRequests) -> None:
        self._requests = requests
        self._is_asked_for = self._is_let_in = self._is_at_work = False

    async def take(self) -> bool:
        """Wait for a place at work, once, where there is room; false where the request has to be refused."""
        if self._is_asked_for:
            return True
        self._is_asked_for = True
        self._is_let_in = self._requests.enter()
        if self._is_let_in:
            since = time.perf_counter()
            self._is_at_work = await self._requests.places.acquire()
            if self._requests.limit.has_given_up(since):
                self.leave()
        return self._is_at_work

    def leave(self) -> None:
        """Give it back."""
        if self._is_at_work:
            self._requests.places.release()
        if self._is_let_in:
            self._requests.leave()
        self._is_let_in = self._is_at_work = False


def _has_limit_of_its_own(scope: Scope) -> bool:
    path = scope["path"]
    is_upload = path == UPLOADS and scope["method"] == "POST"
    may_wait = path.startswith(RUNS) and scope["method"] == "GET" and "prefer" in Headers(scope=scope)
    return path in PROBES or is_upload or may_wait


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
