"""Lets an API leave without failing a request: it says so, and goes on answering until clients have gone elsewhere."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Unavailable


class Drain:
    """Whether this process is about to stop. Every answer from then on asks the client to close its connection.

    A server that closes an idle connection may do so in the moment in which the client sends on it; a client that was
    asked to close it opens a new one instead, which reaches another process.
    """

    def __init__(self) -> None:
        self.has_begun = False

    def begin(self) -> None:
        """Say from now on that this process leaves."""
        self.has_begun = True

    def check(self) -> None:
        """Readiness: raise Unavailable once the process leaves, so that load balancers choose another one."""
        if self.has_begun:
            raise Unavailable("This process is about to stop.")

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, whose answers close their connections once the process leaves."""

        async def drained(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_closing(message: Message) -> None:
                if self.has_begun and message["type"] == "http.response.start":
                    MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)

            await app(scope, receive, send_closing if scope["type"] == "http" else send)

        return drained
