"""More is asked than one API process can answer: it refuses the rest in every protocol's own words, and nothing else happens."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.acceptance.client import TUTORIAL_FIT, Fitserve, accepted
from tests.acceptance.crowd import PROBES, Answers, Question, press
from tests.acceptance.running import EMBEDDED_ONLY, RunningService, running_api, wait_until

CLIENTS = 25
SECONDS = 6.0
SETTINGS = {
    "FITSERVE_PREDICT_THREADS": "1",
    "FITSERVE_MAX_WAITING_PREDICTIONS": "4",
    "FITSERVE_MAX_WAITING_REQUESTS": "4",
    "FITSERVE_OVERLOAD_WAIT_SECONDS": "0.001",
    "FITSERVE_MAX_API_REQUESTS": "2",
    "FITSERVE_MAX_CONNECTIONS": "120",
}
HALF_OPEN = 100
"""Of each kind of connection that lets the service wait."""
BEGINNINGS = (
    b"",
    b"POST /v1/models/m:predict HTT",
    b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
    b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
    b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
)
MAX_GROWTH_BYTES = 150e6
REFUSALS = {429, 503}
MANY_ROWS = 300

pytestmark = EMBEDDED_ONLY


class Pressed:
    """An API, and what came back while too much was asked of it."""

    def __init__(self, http: httpx.Client, process: psutil.Process, model: str, rows: list[object]) -> None:
        self.http = http
        self.model = model
        few = json.dumps({"rows": rows}).encode()
        self.questions = [
            Question("POST", f"/api/models/{model}:predict", few),
            Question("POST", f"/v1/models/{model}:predict", json.dumps({"instances": rows * MANY_ROWS}).encode()),
            Question("GET", "/api/runs"),
        ]
        self.before = [self.ask(question) for question in self.questions]
        memory = process.memory_info().rss
        self.answers: Answers = press(str(http.base_url), self.questions, CLIENTS, SECONDS)
        self.growth_bytes = process.memory_info().rss - memory

    def ask(self, question: Question) -> httpx.Response:
        """The answer to one question, when nobody else asks."""
        headers = {"Content-Type": "application/json"}
        return self.http.request(question.method, question.path, content=question.content, headers=headers)

    def count(self, path: str, *statuses: int) -> int:
        """How many answers of these statuses there were at a path."""
        return sum(self.answers.statuses[path, status] for status in statuses)


@pytest.fixture(scope="module")
def pressed(running: RunningService, fitserve: Fitserve) -> Iterator[Pressed]:
    model = fitserve.succeeded(fitserve.start_digits(TUTORIAL_FIT))["model"]
    rows = accepted(running.http.get(f"/api/models/{model}/versions/1"))["example"]["rows"]
    with running_api(running.data_dir, SETTINGS) as (http, process):
        yield Pressed(http, process, model, rows)


def test_no_connection_breaks(pressed: Pressed) -> None:
    assert pressed.answers.broken == []


def test_everybody_is_answered_or_refused(pressed: Pressed) -> None:
    statuses = {status for _, status in pressed.answers.statuses}
    assert statuses <= {200} | REFUSALS
    assert statuses >= REFUSALS, "429 where a queue is full, 503 where the process has too much to do"
    for question in pressed.questions:
        assert pressed.count(question.path, 200) > 0, question.path


def test_every_refusal_says_when_to_come_back_in_the_words_of_its_protocol(pressed: Pressed) -> None:
    for response in pressed.answers.refusals:
        document, path = response.json(), response.request.url.path
        assert response.headers["Retry-After"] == "1"
        assert response.headers["X-Request-ID"]
        if path.startswith("/v1"):
            assert list(document) == ["error"]
        else:
            assert (document["status"], document["instance"]) == (response.status_code, path)
            assert response.headers["Content-Type"] == "application/problem+json"


def test_probes_are_answered_meanwhile(pressed: Pressed) -> None:
    assert {status for _, status in pressed.answers.probes} == {200}
    assert {path for path, _ in pressed.answers.probes} == set(PROBES)


def test_memory_does_not_grow_with_what_is_refused(pressed: Pressed) -> None:
    assert pressed.growth_bytes < MAX_GROWTH_BYTES


def test_the_metrics_tell_what_was_full(pressed: Pressed) -> None:
    text = pressed.http.get("/metrics").text
    counted = re.findall(r'^fitserve_requests_refused_total\{reason="(\w+)"\} (\S+)$', text, re.MULTILINE)

    assert {reason for reason, count in counted if float(count) > 0} >= {"predictions", "control_plane"}


def test_afterwards_it_answers_as_before(pressed: Pressed) -> None:
    for question, before in zip(pressed.questions, pressed.before, strict=True):
        wait_until(lambda question=question: pressed.ask(question).is_success, 10, "an answer")  # type: ignore[misc]
        assert pressed.ask(question).json() == before.json()


def test_half_open_connections_of_every_kind_hold_up_nobody(pressed: Pressed) -> None:
    address = (pressed.http.base_url.host, pressed.http.base_url.port or 80)
    with ExitStack() as stack:
        for beginning in BEGINNINGS * HALF_OPEN:
            stack.enter_context(socket.create_connection(address, timeout=60)).sendall(beginning)
            if beginning == BEGINNINGS[-1]:
                assert pressed.http.get("/livez").is_success
        for _ in range(10):
            for question in pressed.questions:
                with httpx.Client(base_url=pressed.http.base_url, trust_env=False, timeout=60) as newcomer:
                    assert newcomer.get("/readyz").is_success
                assert pressed.ask(question).is_success
