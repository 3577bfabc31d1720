"""Bounds how many requests of the control plane are worked on at once, so that those that are let in are answered soon."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Unavailable
from service.infra.overload import Limit
from service.web.answer_log import PROBES
from service.web.problems import headers_for, status_of
from service.web.refusals import refuse

AT_WORK_UNDER_LOAD = 4
"""While more is asked than can be answered: enough to keep the database busy, and few enough to be answered soon."""
UPLOADS = "/api/datasets"


def busy() -> Unavailable:
    """The error of a process that works on as much as it can."""
    return Unavailable("This process works on as many requests as it can. Send the request again later.", retry_after_seconds=1)


class BoundedRequests:
    """Lets requests in while there is room; a request takes it from its last byte to the first one of its answer.

    Where there is none when its head comes, nothing of it is read by anybody: an application refuses at a much higher price.
    Clients that are slow to send or to take something need none, nor do event streams. Uploads and those that wait for a
    run (``Prefer: wait``) have limits of their own, and probes are always let in.
    """

    def __init__(self, app: ASGIApp, limit: Limit) -> None:
        self._app = app
        self._limit = limit
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_limit_of_its_own(scope):
            await self._app(scope, receive, send)
            return
        room = _Room(self)
        if not (self.has_room() if _has_body(scope) else room.take()):
            error = busy()
            await refuse(scope, send, status_of(error), error.message, headers_for(error))
            return

        async def receive_within_limit() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not room.take():
                raise busy()
            return message

        async def send_and_leave(message: Message) -> None:
            room.leave()
            await send(message)

        try:
            await self._app(scope, receive_within_limit, send_and_leave)
        finally:
            room.leave()

    def has_room(self) -> bool:
        """Whether one more may be worked on; whoever hears no has to be refused."""
        return self._limit.takes(self._at_work)

    def enter(self) -> bool:
        """Let one more in, where there is room; whether there was."""
        is_let_in = self.has_room()
        self._at_work += is_let_in
        return is_let_in

    def leave(self) -> None:
        """One is no more worked on."""
        self._at_work -= 1


class _Room:
    """What one request takes, at most once."""

    def __init__(self, requests: BoundedRequests) -> None:
        self._requests = requests
        self._is_asked_for = self._is_held = False

    def take(self) -> bool:
        """Whether there is room, or there was when it was first asked for."""
        if self._is_asked_for:
            return True
        self._is_asked_for = True
        self._is_held = self._requests.enter()
        return self._is_held

    def leave(self) -> None:
        """Give it back."""
        if self._is_held:
            self._requests.leave()
        self._is_held = False


def _has_limit_of_its_own(scope: Scope) -> bool:
    path = scope["path"]
    is_upload = path == UPLOADS and scope["method"] == "POST"
    return path in PROBES or is_upload or "prefer" in Headers(scope=scope)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
