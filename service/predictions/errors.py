"""What can go wrong with a prediction beside the kinds of ``service.errors``."""

from service.errors import FitserveError


class MethodNotAllowed(FitserveError):
    """The address exists, but takes other HTTP methods."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"This address does not take {method[:20]}. It takes {allowed}.")
        self.allowed = allowed


class NotOffered(FitserveError):
    """The protocol has this operation, but it makes no sense for the models here."""


class NotAcceptable(FitserveError):
    """The client takes none of the media types that the answer could have."""


class ClientGone(Exception):
    """The client closed the connection before it had sent its body."""
