"""Answers small predictions where uvicorn has read their last byte, without a task and without ASGI's messages.

For a request uvicorn makes a task, an event and some messages, which together take longer than a small model. What cannot be
answered at once, and everything that is no prediction, goes uvicorn's own way, as if nothing had been tried.
"""

import time
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import FitserveError
from service.predictions.app import PredictionApp
from service.predictions.http import headers_of
from service.serving.workbench import INLINE_BYTES, too_busy
from service.web.origins import CLOSED, Origins
from service.web.shedding import SheddingConnection


class PredictionProtocol(SheddingConnection):
    """uvicorn's HTTP protocol for one connection; holds the parts of a request back until it is whole."""

    predictions: PredictionApp
    origins: Origins
    """Both are set by the subclass that ``protocol_for`` makes."""
    _held: list[bytes] | None = None

    def _take_head(self) -> None:
        """Let the request in."""
        if self._may_hold():
            self._held = []
        else:
            super()._take_head()

    def _refusal(self) -> FitserveError | None:
        """Why the request is not let in; also a long body that no thread would read."""
        error = super()._refusal()
        if error is None and self.parser.get_method() == b"POST" and self._is_refused_by_length():
            return too_busy()
        return error

    def _is_refused_by_length(self) -> bool:
        length = self._content_length() or 0
        if length <= INLINE_BYTES:
            return False
        path = self.url.partition(b"?")[0].decode("latin-1")
        return self.predictions.handles(path) and not self.predictions.has_room_for(length)

    def on_body(self, body: bytes) -> None:
        """A part of the body has been read."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """The whole request has been read."""
        if self._held is not None:
            if self.turns.may_begin() and self._answer(b"".join(self._held)):
                return
            self._release()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have come; what is not a whole request by then goes uvicorn's way."""
        super().data_received(data)
        if self._held is not None:
            self._release()

    def _may_hold(self) -> bool:
        """Whether this may be a prediction that is answered at once, with nothing before it on this connection."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not (self.expect_100_continue or self.flow.write_paused)
            and self._fill_scope()
            and self.origins.lets_pass(cast(Scope, self.scope))
            and self.predictions.may_answer_now(cast(Scope, self.scope))
            and self._body_is_short()
        )

    def _fill_scope(self) -> bool:
        """Complete the scope as uvicorn does; false for addresses that need more than a look."""
        path, _, query = self.url.partition(b"?")
        if b"%" in path or not path.startswith(b"/") or self.root_path:
            return False
        self.scope["method"], self.scope["path"], self.scope["query_string"] = "POST", path.decode("ascii"), query
        return True

    def _body_is_short(self) -> bool:
        length = self._content_length()
        return length is not None and length <= INLINE_BYTES

    def _content_length(self) -> int | None:
        """The declared length of the body; None where there is none."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value[:20]) if value.isdigit() else None
        return None

    def _answer(self, body: bytes) -> bool:
        began_at = time.perf_counter()
        answered = self.predictions.answer_now(cast(Scope, self.scope), body)
        if answered is None:
            return False
        self.turns.leave(time.perf_counter() - began_at)
        self._held, self.is_reading = None, False
        call, answer = answered
        lines = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *headers_of(call, answer)):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", answer.body)
        self.transport.write(b"".join(lines))
        self.on_response_complete()
        return True

    def _release(self) -> None:
        """Give uvicorn what was held back."""
        held, self._held = self._held or [], None
        super()._take_head()
        for part in held:
            super().on_body(part)


def protocol_for(predictions: PredictionApp, origins: Origins = CLOSED) -> type[PredictionProtocol]:
    """The protocol of a server whose predictions are answered by this application, for requests from these origins."""
    return type("PredictionProtocol", (PredictionProtocol,), {"predictions": predictions, "origins": origins})
