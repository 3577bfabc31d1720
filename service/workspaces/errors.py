"""What can be wrong with a key, or with what somebody wants to do with it."""

from service.errors import Forbidden, NotFound, Unauthenticated


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


class KeyNotFound(NotFound):
    """No key with this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key '{key_id[:80]}'. GET /api/keys lists them.")
