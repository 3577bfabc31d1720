"""What can be wrong with a model, a version or an alias."""

from service.errors import Conflict, NotFound, PreconditionFailed


class ModelNotFound(NotFound):
    """No model with this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model '{name[:80]}'. GET /api/models lists them.")


class RevisionNotFound(NotFound):
    """The model has no revision with this number."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(f"Model '{model}' has no revision {number}.")


class VersionNotFound(NotFound):
    """The model has no version with this number."""

    def __init__(self, model: str, number: int | str) -> None:
        super().__init__(f"Model '{model}' has no version {number}. GET /api/models/{model}/versions lists them.")


class AliasNotFound(NotFound):
    """The model has no alias with this name."""

    def __init__(self, model: str, alias: str) -> None:
        super().__init__(f"Model '{model}' has no alias '{alias[:80]}'.")


class NoVersionYet(NotFound):
    """Nothing of this model has been published."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model '{model}' has no version yet: a run has to succeed first (POST /api/runs).")


class ModelExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a model '{name}' already. PUT /api/models/{name} makes a new revision of it.")


class ModelInUse(Conflict):
    """A queued or running run needs the model."""

    def __init__(self, name: str, holders: list[str]) -> None:
        super().__init__(f"Model '{name}' is in use by {', '.join(holders)}. Wait until they end, or cancel them.")


class RevisionMismatch(PreconditionFailed):
    """Somebody else has changed the model in the meantime."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"Model '{name}' is at {found}, not at {expected}. Read it again, then repeat your change.")
