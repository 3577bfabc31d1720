"""What a trainer prints: for the operator as it is, for the owner of the run without what belongs to this machine."""

import re
from collections.abc import Iterator

from service.infra.logging import get_logger
from service.spec.frames import LogLine

log = get_logger(__name__)

MAX_LINES_PER_ATTEMPT = 500
MAX_CHARACTERS = 500
HOST_PATH = re.compile(r"(?<![\w.])(?:/[\w.\-+]+){2,}")
TRACE = re.compile(r'^Traceback \(most recent call last\)|^\s+File "|^\s{4,}|^\s*[~^]+\s*$')
"""The frames of a Python traceback; its last line, which says what happened, is none of them."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class AttemptLog:
    """Turns what a trainer prints during one attempt into a bounded number of log lines."""

    def __init__(self) -> None:
        self._count = 0

    def lines(self, printed: list[str]) -> Iterator[LogLine]:
        """The lines that the owner of the run may see."""
        for text in printed:
            shown = HOST_PATH.sub("(path)", UNPRINTABLE.sub("", text)).rstrip()
            if not shown or TRACE.search(text):
                continue
            self._count += 1
            if self._count < MAX_LINES_PER_ATTEMPT:
                yield LogLine(level="info", message=shown[:MAX_CHARACTERS])
            elif self._count == MAX_LINES_PER_ATTEMPT:
                yield LogLine(level="warning", message="The trainer printed more than this; the rest is left out.")
