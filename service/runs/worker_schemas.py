"""What goes over the wire of workers."""

from datetime import datetime

from service.spec.base import Spec


class WorkerRead(Spec):
    """A worker process."""

    id: str
    """Id of the worker."""
    host: str
    """Machine that it runs on."""
    process_id: int
    """Its process id on that machine."""
    slots: int
    """Runs that it fits at the same time."""
    devices: list[str]
    """What it can fit on."""
    versions: dict[str, str]
    """Versions of the libraries that its trainers use."""
    is_alive: bool
    """Whether it has shown a sign of life within a lease."""
    runs: list[str]
    """Ids of the runs that it is fitting."""
    started_at: datetime
    """When it started."""
    last_seen_at: datetime
    """Its last sign of life."""


class WorkerList(Spec):
    """The workers of the last day."""

    items: list[WorkerRead]
    """The workers, living ones first."""
    next_page_token: None
    """Always `null`: there are few workers."""
