"""What can be wrong with a key, or with what somebody wants to do with it."""

from dataclasses import dataclass

from service.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated


@dataclass(frozen=True)
class QuotaWords:
    """How a quota is spoken of."""

    unit: str
    way_out: str
    retry_after_seconds: int = 60


QUOTA_WORDS = {
    "stored_bytes": QuotaWords("bytes", "Delete datasets or runs that are no longer needed."),
    "queued_runs": QuotaWords("runs", "Try again when some have begun, or cancel some.", 10),
    "running_runs": QuotaWords("runs", "Wait until some have ended.", 10),
    "epoch_rows": QuotaWords("epochs × rows", "Ask for fewer epochs, or wait until earlier fits are a day old."),
    "requests_per_minute": QuotaWords("requests", "Wait for the next minute."),
}
"""By the quota's name."""


class QuotaExceeded(TooManyRequests):
    """The workspace would use more than it may."""

    def __init__(self, name: str, used: int, needed: int, limit: int, retry_after_seconds: int | None = None) -> None:
        words = QUOTA_WORDS[name]
        message = f"Quota '{name}' of this workspace: {used} of {limit} {words.unit} are used, and this needs {needed} more."
        super().__init__(f"{message} {words.way_out}", retry_after_seconds or words.retry_after_seconds)


class NotIdentified(Unauthenticated):
    """No key, or none that is valid. One text for all cases, so that nobody learns which keys there are."""

    def __init__(self) -> None:
        super().__init__(
            "This needs a valid API key. Send 'Authorization: Bearer <key>' or 'X-API-Key: <key>', "
            "with a key that has neither expired nor been revoked."
        )


class MissingScope(Forbidden):
    """The key is valid, but not for this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"This API key does not have the scope '{scope}', which this operation needs. Use a key that has it.")


class OperatorsOnly(Forbidden):
    """The answer would tell of all workspaces."""

    def __init__(self) -> None:
        super().__init__("This tells of all workspaces. Use a key of the workspace 'default' with the scope 'admin'.")


class WorkspaceNotFound(NotFound):
    """No workspace of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no workspace '{name[:80]}'. 'fitserve workspaces list' names them; "
            "'fitserve keys create NAME --workspace WORKSPACE' makes one."
        )


class KeyNotFound(NotFound):
    """No key with this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key '{key_id[:80]}'. GET /api/keys lists them.")
