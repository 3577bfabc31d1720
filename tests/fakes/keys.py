"""Keys in memory."""

from service.errors import Unavailable
from service.workspaces.states import Caller


class FakeKeys:
    """Callers by key; without any, everybody may do everything in one workspace."""

    def __init__(self, workspace_id: str, callers: dict[bytes, Caller] | None = None) -> None:
        self.callers = callers if callers is not None else {b"": Caller(workspace_id, frozenset({"admin"}))}
        self.questions: list[bytes] = []
        self.noted: list[str] = []
        self.is_away = False

    def find(self, key: bytes) -> Caller | None:
        """Who has this key. Raises Unavailable while ``is_away``."""
        self.questions.append(key)
        if self.is_away:
            raise Unavailable("The keys are away.")
        return self.callers.get(key)

    def note_use(self, key_id: str) -> None:
        """Remember that a key is in use."""
        self.noted.append(key_id)
