"""The doorbell: a Celery message that wakes a worker. It carries nothing, may be lost and may arrive twice."""

import os
import threading
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import filesystem as kombu_filesystem

from service.infra.logging import get_logger
from service.settings import Settings

log = get_logger(__name__)

RING = "fitserve.ring"
"""Name of the only Celery task: look whether a run is waiting."""
QUEUE = "fitserve"
FILESYSTEM = "fitserve-filesystem"
CLOSE_SECONDS = 3.0


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
        broker_url=_broker_url(settings),
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


def _broker_url(settings: Settings) -> str:
    """The broker's address; with TLS kombu would take any certificate where the address does not say otherwise."""
    url = settings.broker_url or f"{FILESYSTEM}://localhost//"
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


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
        "polling_interval": 0.05,
    }


class Doorbell(Protocol):
    """Tells the workers that there is something to do."""

    def ring(self) -> None:
        """Wake a worker, if the broker answers; a lost ring is made good by the sweeper."""


class CeleryDoorbell:
    """Rings through the broker, from a thread of its own: nobody waits for a broker that is slow or away.

    Rings that come while one is being sent become one.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._wanted = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def ring(self) -> None:
        """Wake a worker soon, if the broker answers."""
        self._wanted.set()
        with self._starting:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._send_when_wanted, name="doorbell", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Send what is still to be sent, and end."""
        with self._starting:
            self._is_closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _send_when_wanted(self) -> None:
        is_heard = True
        while True:
            self._wanted.wait()
            self._wanted.clear()
            is_last = self._is_closing  # looked at after the clearing, which may have swallowed the call of close
            if is_last and not is_heard:
                return  # the broker is away, and a process that leaves does not wait for it
            is_heard = self._send()
            if is_last:
                return

    def _send(self) -> bool:
        """Send the message, or log that it could not be sent: the run is safe in the database already."""
        try:
            self._app.send_task(RING, queue=QUEUE, ignore_result=True)
        except Exception as error:  # kombu and redis raise many kinds, and none may end this thread
            log.warning("doorbell.failed", reason=str(error)[:300])
            return False
        return True
