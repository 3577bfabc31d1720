"""Why a queued run is not running yet: what the workers and the limits have to do with it."""

from functools import cache

from sqlalchemy.orm import Session

from service.infra.database import database_moment
from service.runs import repository, workers
from service.runs.tables import Run
from service.settings import Settings


class Queue:
    """What decides about queued runs at this moment; asks the database once, however many runs are looked at."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._moment = database_moment(session)
        self._max_running = settings.max_running_runs
        self._workers = workers.list_living(session, settings.lease_seconds)
        self._devices = {device for worker in self._workers for device in worker.devices}
        self._count_running = cache(lambda workspace_id: repository.count_in_state(session, workspace_id, "running"))

    def why_waiting(self, run: Run) -> str | None:
        """Why no worker takes the run now, in a sentence; None where it only waits for its turn."""
        if not self._workers:
            return "No worker is alive. Start one with 'fitserve worker'."
        if not self._devices:
            return "The workers are starting: their trainers still load TensorFlow."
        if run.device not in {"any", *self._devices}:
            return f"No living worker has a {run.device}."
        if run.not_before > self._moment:
            return f"The next attempt begins in {(run.not_before - self._moment) / 1000:.0f} seconds."
        if self._count_running(run.workspace_id) >= self._max_running:
            return f"The workspace has {self._max_running} runs running, as many as it may (FITSERVE_MAX_RUNNING_RUNS)."
        return None
