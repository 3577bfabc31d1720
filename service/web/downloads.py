"""Files as answers, whole or in parts (RFC 9110, 14); a wrong wish for parts is a problem document like every error."""

import re
from typing import Any

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from service.errors import RangeNotSatisfiable

MAX_RANGES = 100
_RANGE = re.compile(r"[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*")


def file_answers(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """The answers with a file, whole or in parts, for the OpenAPI entry of a download."""
    content: dict[str, Any] = {media_type: {} for media_type in sorted(set(media_types))}
    parts = content | {"multipart/byteranges": {}}
    return {
        200: {"description": description, "content": content},
        206: {"description": "The parts of the file that `Range` has named.", "content": parts},
    }


class Download(FileResponse):
    """A file; clients may ask for parts of it, and so go on with a download that was cut off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file. Raises RangeNotSatisfiable."""
        if scope.get("state", {}).get("wants_headers_only"):
            scope = {**scope, "method": "HEAD"}  # then the file is not read
        try:
            await super().__call__(scope, receive, send)
        except RangeNotSatisfiable:
            if self.background is not None:
                await self.background()
            raise

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette asks this only where If-Range lets the header count, and would answer a mistake in it with plain text.
        check_range(http_range, file_size)
        return super()._parse_range_header(http_range, file_size)


def check_range(wanted: str, size_bytes: int) -> None:
    """Raises RangeNotSatisfiable unless a ``Range`` header names parts that a file of this size has, and not very many."""
    unit, _, ranges = wanted.partition("=")
    parts = ranges.split(",", MAX_RANGES)
    is_possible = all(_lies_within(part, size_bytes) for part in parts) and len(parts) <= MAX_RANGES
    if unit.strip().lower() != "bytes" or not is_possible:
        raise RangeNotSatisfiable(
            f"The Range header names no part of this file, which has {size_bytes} bytes. Received '{wanted[:80]}'. "
            f"Expected at most {MAX_RANGES} ranges such as 'bytes=0-99'.",
            size_bytes,
        )


def _lies_within(part: str, size_bytes: int) -> bool:
    found = _RANGE.fullmatch(part)
    if found is None:
        return False
    first, last, suffix = found.groups()
    if suffix is not None:
        return int(suffix) > 0 and size_bytes > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))
