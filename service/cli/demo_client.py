"""A client of the service's HTTP interface, as small as the demo needs it."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from httpx_sse import SSEError, connect_sse

TIMEOUT_SECONDS = 30.0
RECONNECT_SECONDS = 0.5
MAX_RECONNECTS = 40

Document = dict[str, Any]


class DemoFailed(Exception):
    """Something did not go as the demo promises; the message is for the person in front of it."""


@dataclass(frozen=True)
class Event:
    """One event of a run: ``state``, ``epoch``, ``progress``, ``done`` …"""

    name: str
    data: Document


class Client:
    """Talks to one service. ``require_alive`` raises when the service is gone for good; ``key`` where it asks for one."""

    def __init__(self, url: str, require_alive: Callable[[], None], key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy of the environment must not come between us and our own machine.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._require_alive = require_alive

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload(self, path: Path, name: str, target: str) -> Document:
        """Upload a file; the dataset."""
        with path.open("rb") as file:
            files = {"file": (path.name, file, "text/csv")}
            return self._call("POST", "/api/datasets", files=files, data={"name": name, "target": target})

    def put_model(self, model: Mapping[str, Any]) -> Document:
        """Create the model, or give it a new revision where an earlier demo has created it; the model."""
        response = self._send("POST", "/api/models", json=model)
        if response.status_code == httpx.codes.CONFLICT:
            return self._call("PUT", f"/api/models/{model['name']}", json=model)
        return _document(response)

    def start_run(self, run: Mapping[str, Any]) -> Document:
        """Ask for a run; the run as accepted. The key makes a repeated request harmless."""
        return self._call("POST", "/api/runs", json=run, headers={"Idempotency-Key": str(uuid.uuid4())})

    def read_run(self, run_id: str) -> Document:
        """The run as it is now."""
        return self._call("GET", f"/api/runs/{run_id}")

    def read_metrics(self, run_id: str) -> dict[str, list[float]]:
        """Every metric of the run, one number per epoch."""
        metrics: dict[str, list[float]] = self._call("GET", f"/api/runs/{run_id}/metrics")["metrics"]
        return metrics

    def predict(self, model: str, rows: list[list[int]]) -> Document:
        """What the newest version of the model says to the rows."""
        return self._call("POST", f"/api/models/{model}:predict", json={"rows": rows})

    def follow(self, run_id: str) -> Iterator[Event]:
        """The run's events up to ``done``, without gap or repeat also when the connection breaks."""
        last_id, breaks = "", 0
        while breaks <= MAX_RECONNECTS:
            try:
                for event_id, event in self._events(run_id, last_id):
                    last_id, breaks = event_id or last_id, 0
                    yield event
                    if event.name == "done":
                        return
            except (httpx.TransportError, SSEError):
                self._require_alive()
            breaks += 1
            time.sleep(RECONNECT_SECONDS)
        raise DemoFailed(f"The events of {run_id} broke off and could not be had again.")

    def _events(self, run_id: str, last_id: str) -> Iterator[tuple[str, Event]]:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with connect_sse(self._http, "GET", f"/api/runs/{run_id}/events", headers=headers) as source:
            for message in source.iter_sse():
                if message.data:  # the decoder also passes on messages that only set the id or the retry time
                    yield message.id, Event(message.event, message.json())

    def _call(self, method: str, path: str, **arguments: Any) -> Document:
        return _document(self._send(method, path, **arguments))

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            self._require_alive()
            raise DemoFailed(f"{method} {path} got no answer: {error}") from error


def _document(response: httpx.Response) -> Document:
    if not response.is_success:
        request = response.request
        raise DemoFailed(f"{request.method} {request.url.path} was answered {response.status_code}: {response.text}")
    document: Document = response.json()
    return document
