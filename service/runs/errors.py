"""What can be wrong with a run."""

from service.errors import Conflict, FitserveError, NotFound


class RunNotFound(NotFound):
    """No run with this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run '{run_id[:80]}'. GET /api/runs lists them.")


class ArtifactNotFound(NotFound):
    """The run has no file with this name."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(f"Run '{run_id}' has no artifact '{name[:80]}'. GET /api/runs/{run_id}/artifacts lists them.")


class ResultNotFound(NotFound):
    """The run has ended without this result, or it is gone."""

    def __init__(self, run_id: str, result: str, reason: str) -> None:
        super().__init__(f"Run '{run_id}' has no {result}: {reason}. GET /api/runs/{run_id} tells what became of it.")


class ResultNotReady(Conflict):
    """The run has not ended, and only its end gives it this result."""

    def __init__(self, run_id: str, result: str, state: str) -> None:
        super().__init__(
            f"Run '{run_id}' is {state}; there are {result} once it has succeeded. "
            f"GET /api/runs/{run_id} with the header 'Prefer: wait=30' waits for that."
        )


class ScriptNotReady(Conflict):
    """Only the data tells what the script has to be, and nobody has loaded it yet."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(
            f"Run '{run_id}' is {state}; its script is not ready yet: it is known once the data is loaded. "
            f"GET /api/runs/{run_id} with the header 'Prefer: wait=30' waits for the end of the run."
        )


class IllegalTransition(Conflict):
    """The run cannot go from its present state to the one asked for."""

    def __init__(self, run_id: str, present: str, wanted: str) -> None:
        super().__init__(f"Run '{run_id}' is {present}; it cannot become {wanted}.")


class RunIsOver(Conflict):
    """The run has ended, so there is nothing to cancel."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(f"Run '{run_id}' is {state} already; there is nothing to cancel.")


class RunIsActive(Conflict):
    """The run has not ended, so it cannot be deleted."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(f"Run '{run_id}' is {state}. Cancel it first, then delete it.")


class KeyInFlight(Conflict):
    """Another request with the same Idempotency-Key is being answered at this moment."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being answered right now. Repeat it in a moment.")


class AttemptReplaced(FitserveError):
    """This attempt no longer owns its run: its lease ran out and somebody else went on. Stop at once."""

    def __init__(self, run_id: str, attempt: int) -> None:
        super().__init__(f"Attempt {attempt} of run '{run_id}' has been replaced.")
