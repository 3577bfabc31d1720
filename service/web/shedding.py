"""Refuses what cannot be answered soon as soon as its head has been read: a refusal must cost a small part of an answer.

The rest of such a request is read and dropped, so that the connection can be used again and no client finds it reset.
"""

from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import FitserveError, Unavailable
from service.infra.overload import Turns
from service.web.answer_log import PREDICTION_PROBES, PROBES
from service.web.connections import BoundedConnection
from service.web.context import request_id_of
from service.web.problems import headers_for, status_of
from service.web.refusals import refusal_of, refuse

ALWAYS_LET_IN = PROBES | PREDICTION_PROBES
"""What operators and orchestrators ask, who want to know of an overload."""
_ALWAYS_LET_IN = frozenset(path.encode() for path in ALWAYS_LET_IN)


def overloaded() -> Unavailable:
    """The error of a process that cannot read requests as fast as they come."""
    return Unavailable("More is asked of this process than it can answer. Send the request again later.", retry_after_seconds=1)


class SheddingConnection(BoundedConnection):
    """uvicorn's HTTP protocol for one connection, whose requests are refused at once while too many come."""

    turns: Turns
    """Set by the subclass that ``shedding`` makes."""
    _is_shed = False

    def on_headers_complete(self) -> None:
        """The head of a request has been read."""
        error = self._refusal() if self._may_shed() else None
        if error is None:
            self._take_head()
        else:
            self._shed(error)

    def on_body(self, body: bytes) -> None:
        """A part of the body has been read."""
        if self._is_shed:
            self._body_bytes += len(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has been read."""
        if not self._is_shed:
            super().on_message_complete()
            return
        self._is_shed = self.is_reading = False
        if self.parser.should_keep_alive():
            self.on_response_complete()
        else:
            self.transport.close()

    def _take_head(self) -> None:
        """Let the request in."""
        super().on_headers_complete()

    def _may_shed(self) -> bool:
        """Whether an answer may go out now: nothing before it is unanswered, and the client does not wait to be asked."""
        is_free = self.cycle is None or self.cycle.response_complete
        return is_free and self.url not in _ALWAYS_LET_IN and not (self.expect_100_continue or self.parser.should_upgrade())

    def _refusal(self) -> FitserveError | None:
        """Why the request is not let in; None where it is."""
        return None if self.turns.take() else overloaded()

    def _shed(self, error: FitserveError) -> None:
        self._is_in_body, self._body_bytes = True, 0
        self._is_shed = True
        path = self.url.partition(b"?")[0].decode("latin-1")
        status = status_of(error)
        headers, body = refusal_of(path, status, error.message, request_id_of(cast(Scope, self.scope)))
        headers |= headers_for(error)
        if not self.parser.should_keep_alive():
            headers["connection"] = "close"
        lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in self.server_state.default_headers)]
        lines += (f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(b"".join([*lines, b"\r\n", b"" if self.parser.get_method() == b"HEAD" else body]))

    @property
    def _has_answer(self) -> bool:
        return self._is_shed or super()._has_answer


def shedding(protocol: type[SheddingConnection], turns: Turns) -> type[SheddingConnection]:
    """The protocol, which refuses as these turns say."""
    return type(protocol.__name__, (protocol,), {"turns": turns})


class InTurns:
    """Lets requests begin in turns, and refuses those that have waited in vain."""

    def __init__(self, app: ASGIApp, turns: Turns) -> None:
        self._app = app
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_LET_IN or await self._turns.wait():
            await self._app(scope, receive, send)
        else:
            error = overloaded()
            await refuse(scope, send, status_of(error), error.message, headers_for(error))
