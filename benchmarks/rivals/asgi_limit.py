"""The limit of a Python server: uvicorn on uvloop and httptools, and an application that answers the same bytes always.

It reads the body to its end, as every server must, and does not look at it. Usage: ``python asgi_limit.py PORT BYTES``.
"""

import sys

import uvicorn
from starlette.types import Receive, Scope, Send


def constant(size_bytes: int) -> object:
    """An application whose answers are as long as this."""
    body = b" " * size_bytes
    headers = [(b"content-type", b"application/json"), (b"content-length", str(size_bytes).encode())]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    port, size_bytes = map(int, sys.argv[1:])
    uvicorn.run(
        constant(size_bytes),
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
