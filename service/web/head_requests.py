"""Answers HEAD wherever GET is answered, with the same headers and no body (RFC 9110, 9.3.2)."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Lets the application answer GET, and ends the answer behind its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        has_begun = anyio.Event()

        async def receive_nothing() -> Message:
            await has_begun.wait()  # from then on nobody listens, which ends a stream
            return {"type": "http.disconnect"}

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["method"] = "HEAD"  # the server looks at it to know that no body will follow
                await send(message)
                await send({"type": "http.response.body"})
                has_begun.set()

        scope["method"] = "GET"
        scope.setdefault("state", {})["wants_headers_only"] = True
        try:
            await self._app(scope, receive_nothing, send_headers)
        finally:
            scope["method"] = "HEAD"
