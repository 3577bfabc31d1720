"""A client for tests, which knows the service only by its HTTP interface."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

DIGITS = Path(__file__).parents[2] / "examples" / "digits_0_1.csv"
TERMINAL = {"succeeded", "failed", "cancelled"}
TUTORIAL_LAYERS = [
    {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
    {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
    {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
]
TUTORIAL_COMPILE = {
    "loss": "BinaryCrossentropy",
    "optimizer": {"type": "SGD", "learning_rate": 0.5},
    "metrics": ["accuracy"],
}
TUTORIAL_FIT = {"epochs": 20, "batch_size": 16, "validation_split": 0.2}
SLOW_FIT = {"epochs": 20, "batch_size": 1}
"""A fit of the digits that takes some seconds."""
ENDLESS_FIT = {"epochs": 1_000_000, "batch_size": 1}
"""A fit that ends only when it is cancelled."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One server-sent event; ``number`` is None for those that carry no id."""

    number: int | None
    kind: str
    data: Document


class Fitserve:
    """Requests as sentences; each asserts that the service has accepted it."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def upload_digits(self) -> str:
        """Upload the example's digits; the dataset's id."""
        files = {"file": (DIGITS.name, DIGITS.read_bytes(), "text/csv")}
        return str(accepted(self.http.post("/api/datasets", files=files, data={"target": "digit"}), 201)["id"])

    def upload_json(self, **body: Any) -> Document:
        """Upload rows or arrays; the dataset."""
        return accepted(self.http.post("/api/datasets", json={"name": "test data", **body}), 201)

    def create_model(
        self, layers: Sequence[Mapping[str, Any]] = TUTORIAL_LAYERS, compiled: Mapping[str, Any] = TUTORIAL_COMPILE
    ) -> str:
        """Create a model with a name that nobody else uses; the name."""
        return self.define_model({"layers": list(layers)}, compiled)

    def define_model(self, definition: Mapping[str, Any], compiled: Mapping[str, Any]) -> str:
        """Create a model of any definition; its name."""
        name = f"model-{uuid.uuid4().hex[:12]}"
        accepted(self.http.post("/api/models", json={"name": name, "definition": definition, "compile": dict(compiled)}), 201)
        return name

    def start(self, model: str, dataset: str, fit: Mapping[str, Any] = TUTORIAL_FIT, **more: Any) -> str:
        """Accept a run; its id."""
        return str(accepted(self.http.post("/api/runs", json=run_body(model, dataset, fit, **more)), 202)["id"])

    def start_digits(self, fit: Mapping[str, Any] = TUTORIAL_FIT, **more: Any) -> str:
        """Accept a run of the tutorial's model on the digits; its id."""
        return self.start(self.create_model(), self.upload_digits(), fit, **more)

    def run(self, run_id: str) -> Document:
        """The run as it is now."""
        return accepted(self.http.get(f"/api/runs/{run_id}"))

    def ended(self, run_id: str, seconds: float = 150) -> Document:
        """The run after its end, which is waited for."""
        deadline = time.monotonic() + seconds
        while (run := self._wait_once(run_id))["state"] not in TERMINAL:
            assert time.monotonic() < deadline, run
        return run

    def _wait_once(self, run_id: str) -> Document:
        return accepted(self.http.get(f"/api/runs/{run_id}", headers={"Prefer": "wait=20"}))

    def succeeded(self, run_id: str) -> Document:
        """The run after its success."""
        run = self.ended(run_id)
        assert run["state"] == "succeeded", run["failure"]
        return run

    def cancel(self, run_id: str, keep: str = "none") -> Document:
        """Cancel a run; the run as it is then."""
        return accepted(self.http.post(f"/api/runs/{run_id}:cancel", json={"keep": keep}), 202)

    def events(self, run_id: str, after: int | None = None) -> Iterator[Event]:
        """The run's events up to ``done``, or to the end of the connection."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with connect_sse(self.http, "GET", f"/api/runs/{run_id}/events", headers=headers, timeout=60) as source:
            assert source.response.status_code == 200
            for message in source.iter_sse():
                if message.data:
                    number = int(message.id) if message.id and message.event != "progress" else None
                    yield Event(number, message.event, message.json())

    def wait_for_epoch(self, run_id: str, number: int = 2) -> None:
        """Return once the run has finished an epoch of at least this number."""
        for event in self.events(run_id):
            if event.kind == "epoch" and event.data["epoch"] >= number:
                return
        raise AssertionError(f"the run ended before epoch {number}: {self.run(run_id)}")

    def metrics(self, run_id: str) -> Document:
        """The metrics of all epochs in columns."""
        return accepted(self.http.get(f"/api/runs/{run_id}/metrics"))


def run_body(model: str, dataset: str, fit: Mapping[str, Any] = TUTORIAL_FIT, **more: Any) -> Document:
    """The body of a request for a run."""
    return {"model": model, "dataset": dataset, "fit": dict(fit), "seed": 1, **more}


def accepted(response: httpx.Response, status: int = 200) -> Document:
    """The document of an answer, whose status is asserted."""
    assert response.status_code == status, f"{response.request.method} {response.url}: {response.status_code} {response.text}"
    document: Document = response.json()
    return document


def refused(response: httpx.Response, status: int) -> Document:
    """The problem of an answer, whose status and media type are asserted."""
    assert response.status_code == status, f"{response.status_code} instead of {status}: {response.text[:500]}"
    assert response.headers["content-type"].startswith("application/problem+json")
    problem: Document = response.json()
    assert problem["status"] == status
    return problem
