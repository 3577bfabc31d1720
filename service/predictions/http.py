"""The little of HTTP that predictions need, on bare ASGI: one request, one answer, bounded bodies."""

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple, get_args

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from service.errors import (
    FitserveError,
    InvalidInput,
    MalformedInput,
    PayloadTooLarge,
    Problem,
    UnsupportedMediaType,
)
from service.predictions.engines import Servable
from service.predictions.errors import ClientGone, MethodNotAllowed, NotAcceptable, NotOffered
from service.serving.stages import Stages
from service.serving.workbench import INLINE_BYTES
from service.spec.base import ResourceName
from service.web import problems
from service.web.context import request_id_of

JSON = (b"content-type", b"application/json")
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
NO_STORING = (b"cache-control", b"no-store")
STATUSES: dict[type[FitserveError], int] = {MethodNotAllowed: 405, NotAcceptable: 406, NotOffered: 501}
REMEMBERED_PATHS = 4096
"""Addresses whose meaning is remembered, since reading one takes as long as a small model."""
LONGEST_REMEMBERED_PATH = 512
"""Longer than any that has a meaning: thousands of the longest that a client may send would fill hundreds of megabytes."""
MAX_SHOWN_PROBLEMS = 5
CODINGS = (b"gzip", b"deflate")
MIN_COMPRESSED_BYTES = 1024
COMPRESSION_LEVEL = 1
"""The quickest, which makes numbers nearly as small as the others do."""
_RESOURCE_NAME = re.compile(get_args(ResourceName)[1].pattern)
_GZIP = 16 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class Call:
    """One request on its way through this application."""

    __slots__ = ("_headers", "_receive", "method", "path", "query", "request_id", "servable", "stages", "workspace_id")

    def __init__(self, scope: Scope, receive: Receive | None) -> None:
        """``receive`` is None where the body is known already."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.request_id = request_id_of(scope)
        self.workspace_id = ""
        """Whose models are meant, as soon as it is known."""
        self.servable: Servable | None = None
        """The version that answers, as soon as it is known."""
        self.stages = Stages()
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive

    @property
    def is_coded(self) -> bool:
        """Whether the body comes compressed, or the answer may go so."""
        return b"content-encoding" in self._headers or self._headers.get(b"accept-encoding") in CODINGS

    def header(self, name: bytes) -> str:
        """A header by its lower-case name; empty where it is missing."""
        value = self._headers.get(name)
        return value.decode("latin-1") if value else ""

    async def read_body(self, max_bytes: int) -> bytes:
        """The whole body. Raises PayloadTooLarge as soon as it is known to be too long, or ClientGone."""
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > max_bytes:
            raise _too_large(max_bytes)
        assert self._receive is not None, "a body is read once"
        chunks: list[bytes] = []
        received = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            received += len(chunk)
            if received > max_bytes:
                raise _too_large(max_bytes)
            if not message.get("more_body"):
                return b"".join([*chunks, chunk]) if chunks else chunk
            chunks.append(chunk)


class Answer(NamedTuple):
    """What goes back to the client."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()


async def compressed(answer: Answer, accepted: str) -> Answer:
    """The answer in the one coding that its client names in ``Accept-Encoding``, where that is ``gzip`` or ``deflate``.

    A client that names several would take it as well as it is, which is quicker where both are near.
    """
    if accepted.encode() not in CODINGS or len(answer.body) < MIN_COMPRESSED_BYTES:
        return answer
    if len(answer.body) <= INLINE_BYTES:
        return _packed(answer, accepted)
    return await to_thread.run_sync(_packed, answer, accepted)


def _packed(answer: Answer, accepted: str) -> Answer:
    packer = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP if accepted == "gzip" else zlib.MAX_WBITS)
    body = packer.compress(answer.body) + packer.flush()
    coding = [(b"content-encoding", accepted.encode()), (b"vary", b"accept-encoding")]
    return answer._replace(body=body, headers=[*answer.headers, *coding])


def headers_of(call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, with those that all of them have."""
    headers = [
        JSON if answer.media_type == "application/json" else (b"content-type", answer.media_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", call.request_id.encode()),
        NO_SNIFFING,
        *answer.headers,
    ]
    if call.servable is not None:
        headers.append((b"fitserve-model-version", b"%d" % call.servable.version.number))
    if call.method != "POST":
        headers.append(NO_STORING)  # what answers a POST is not stored anyway
    return headers


async def send_answer(send: Send, call: Call, answer: Answer, is_leaving: bool) -> None:
    """Send an answer; a process that leaves asks to close the connection."""
    accepted = call.header(b"accept-encoding")
    if accepted:
        answer = await compressed(answer, accepted)
    headers = headers_of(call, answer)
    if is_leaving:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def is_resource_name(text: str) -> bool:
    """Whether a part of a path can be the name of a model or an alias at all."""
    return _RESOURCE_NAME.fullmatch(text) is not None


def status_for(error: FitserveError) -> int:
    """The HTTP status of an error's kind, also of the kinds that only predictions have."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), None) or problems.status_of(error)


def headers_for(error: FitserveError) -> list[tuple[bytes, bytes]]:
    """The headers that belong to an error's kind, also of the kinds that only predictions have."""
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", error.allowed.encode())]
    return [(name.lower().encode(), value.encode()) for name, value in problems.headers_for(error).items()]


def sentences_of(error: FitserveError) -> str:
    """An error in plain sentences, for protocols whose errors are one text."""
    if not isinstance(error, InvalidInput) or not error.problems:
        return error.message
    shown = [_sentence_of(problem) for problem in error.problems[:MAX_SHOWN_PROBLEMS]]
    hidden = len(error.problems) - len(shown)
    first = error.problems[0]
    summary = error.message.removesuffix(f"{first.pointer}: {first.message}").strip()  # which tells of the first one already
    return " ".join([summary, *shown, *([f"And {hidden} more."] if hidden else [])])


def _sentence_of(problem: Problem) -> str:
    parts = [f"{problem.pointer.strip('/')}: {problem.message}" if problem.pointer else problem.message]
    if problem.received:
        parts.append(f"Received {problem.received}.")
    if problem.expected:
        parts.append(f"Expected {problem.expected}.")
    return " ".join([*parts, problem.fix or ""]).strip()


def expand(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its Content-Encoding, which may be empty, ``identity``, ``gzip`` or ``deflate``.

    Raises PayloadTooLarge before more than ``max_bytes`` are expanded, UnsupportedMediaType or MalformedInput.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedMediaType(f"Content-Encoding '{encoding[:40]}' is unknown here. Use gzip, deflate or none.")
    try:
        return _inflate(body, _window_bits(body, encoding), max_bytes)
    except zlib.error as error:
        raise MalformedInput(f"The body is not {encoding} data, as its Content-Encoding says.") from error


def _window_bits(body: bytes, encoding: str) -> int:
    """Which container to expect: ``deflate`` means zlib's own, but some clients send it bare (RFC 9110, 8.4.1.2)."""
    if encoding != "deflate":
        return _GZIP
    has_zlib_header = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if has_zlib_header else _RAW_DEFLATE


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    expanded = stream.decompress(body, max_bytes + 1)
    if len(expanded) > max_bytes:
        raise _too_large(max_bytes)
    if not stream.eof or stream.unused_data:
        raise zlib.error("truncated, or followed by something else")
    return expanded


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over the limit of {max_bytes} bytes.")
