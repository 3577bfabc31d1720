"""The only Celery task: the doorbell."""

from collections.abc import Callable

from celery import Celery

from service.infra.queue import RING


def register_ring(app: Celery, on_ring: Callable[[], None]) -> None:
    """Call ``on_ring`` whenever the doorbell rings; it returns at once, since the work is done elsewhere."""
    app.task(name=RING, ignore_result=True)(on_ring)
