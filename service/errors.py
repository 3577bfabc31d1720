"""The kinds of error that any part may raise. Knows no HTTP: only ``web`` turns a kind into a status."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input: where, what was received, what was expected, how to mend it."""

    pointer: str
    """JSON pointer (RFC 6901) into the client's document, or a name such as ``?page_size`` for a query parameter."""
    message: str
    received: str | None = None
    expected: str | None = None
    fix: str | None = None


class FitserveError(Exception):
    """Base of every error that carries a message meant for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthenticated(FitserveError):
    """It is not known who asks, and it has to be."""


class Forbidden(FitserveError):
    """Who asks is known, but may not do this."""


class NotFound(FitserveError):
    """There is nothing of that name or id in this workspace."""


class Conflict(FitserveError):
    """The request is right in itself, but not in the present state."""


class PreconditionFailed(FitserveError):
    """The ``If-Match`` that the client sent does not name the present state."""


@dataclass(eq=False)
class InvalidInput(FitserveError):
    """The input cannot be accepted; ``problems`` point at the places to mend."""

    message: str
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.message)


class MalformedInput(FitserveError):
    """The body cannot be read at all: no JSON, a truncated upload, a wrong encoding."""


class UnsupportedMediaType(FitserveError):
    """The body is of a type that this operation does not read."""


class PayloadTooLarge(FitserveError):
    """The body is larger than a limit of this service."""


@dataclass(eq=False)
class RangeNotSatisfiable(FitserveError):
    """The parts that were asked for are none of a file of ``size_bytes``."""

    message: str
    size_bytes: int

    def __post_init__(self) -> None:
        super().__init__(self.message)


@dataclass(eq=False)
class Unavailable(FitserveError):
    """Something that the answer needs is away; the same request may succeed after ``retry_after_seconds``."""

    message: str
    retry_after_seconds: int = 5

    def __post_init__(self) -> None:
        super().__init__(self.message)


class DeadlineExceeded(FitserveError):
    """The answer was not ready in the time that it may take."""


@dataclass(eq=False)
class TooManyRequests(FitserveError):
    """The service does as much of this at once as it can; the same request succeeds later."""

    message: str
    retry_after_seconds: int = 1

    def __post_init__(self) -> None:
        super().__init__(self.message)
