"""The doorbell: a Celery message that wakes a worker. It carries nothing, may be lost and may arrive twice."""

import os
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import filesystem as kombu_filesystem

from service.infra.logging import get_logger
from service.settings import Settings

log = get_logger(__name__)

RING = "fitserve.ring"
"""Name of the only Celery task: look whether a run is waiting."""
QUEUE = "fitserve"
FILESYSTEM = "fitserve-filesystem"


class AtomicChannel(kombu_filesystem.Channel):  # type: ignore[misc]  # kombu has no types
    """Kombu writes a message in place, and a reader of a half-written one crashes the worker: rename it into place."""

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:
        spool = Path(self.data_folder_out)
        name = f"{kombu_filesystem.monotonic() * 1000:.0f}_{kombu_filesystem.uuid.uuid4()}.{queue}.msg"
        incomplete = spool / f".{name}"
        incomplete.write_text(kombu_filesystem.dumps(payload))
        os.replace(incomplete, spool / name)


class AtomicFilesystemTransport(kombu_filesystem.Transport):  # type: ignore[misc]  # kombu has no types
    """Kombu's filesystem transport with messages that appear whole."""

    Channel = AtomicChannel


TRANSPORT_ALIASES[FILESYSTEM] = f"{__name__}:{AtomicFilesystemTransport.__name__}"


def make_celery(settings: Settings) -> Celery:
    """The Celery application of an API or worker process: JSON only, early acknowledgement, results ignored."""
    app = Celery("fitserve", set_as_current=False)
    app.conf.update(
        broker_url=settings.broker_url or f"{FILESYSTEM}://localhost//",
        broker_transport_options=_transport_options(settings),
        broker_connection_timeout=1.0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_publish_retry=False,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if settings.broker_url:
        return {"socket_connect_timeout": 1.0, "socket_timeout": 5.0, "retry_policy": {"max_retries": 0}}
    folder = settings.data_dir.absolute() / "broker"
    folders = {name: folder / name for name in ("messages", "control", "processed")}
    for path in folders.values():
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "processed_folder": str(folders["processed"]),
        "polling_interval": 0.1,
    }


class Doorbell(Protocol):
    """Tells the workers that there is something to do."""

    def ring(self) -> None:
        """Wake a worker, if the broker answers; a lost ring is made good by the sweeper."""


class CeleryDoorbell:
    """Rings through the broker."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self) -> None:
        """Send the message, or log that it could not be sent: the run is safe in the database already."""
        try:
            self._app.send_task(RING, queue=QUEUE, ignore_result=True)
        except (OperationalError, OSError) as error:
            log.warning("doorbell.failed", reason=str(error))
