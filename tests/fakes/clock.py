"""A clock that a test moves."""


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """The present moment."""
        return self.seconds
