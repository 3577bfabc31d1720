"""Why a queued run is not running yet: what the workers and the limits have to do with it."""

from functools import cache

from sqlalchemy.orm import Session

from service.infra.database import database_moment
from service.runs import repository, workers
from service.runs.tables import Run
from service.settings import Settings
from service.workspaces import repository as workspaces
from service.workspaces.quotas import Quotas


class Queue:
    """What decides about queued runs at this moment; asks the database once, however many runs are looked at."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._moment = database_moment(session)
        self._workers = workers.list_living(session, settings.lease_seconds)
        self._devices = {device for worker in self._workers for device in worker.devices}
        defaults = Quotas.of(settings)
        self._max_running = cache(lambda workspace_id: workspaces.read_quotas(session, workspace_id, defaults).running_runs)
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
        limit = self._max_running(run.workspace_id)
        if limit and self._count_running(run.workspace_id) >= limit:
            return f"The workspace has {limit} runs running, as many as it may (quota 'running_runs')."
        return None
