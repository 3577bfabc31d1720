"""The wire protocols. A module each: it owns its paths, reads its requests and writes its answers and errors."""

from typing import Protocol

from service.errors import FitserveError
from service.predictions.http import Answer, Call


class WireProtocol(Protocol):
    """One way to ask for predictions over HTTP."""

    name: str
    """The protocol's label in metrics."""
    routes: tuple[tuple[str, str], ...]
    """Method and path template of every operation, as OpenAPI writes it."""

    def owns(self, path: str) -> bool:
        """Whether this protocol answers everything at this path, errors too."""

    def answer_now(self, call: Call, body: bytes) -> Answer | None:
        """The answer to a request of which this is the whole body; None where something has to be waited for.

        Raises FitserveError.
        """

    async def answer(self, call: Call) -> Answer:
        """The answer. Raises FitserveError, or ClientGone when nobody waits for one."""

    def refuse(self, call: Call, error: FitserveError) -> Answer:
        """The error with its status in this protocol's form."""
