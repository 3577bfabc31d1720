"""Whatever is sent, the answer is a clear 4xx soon, and the service is well afterwards. The tables are in ``bad_inputs``."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.acceptance.bad_inputs.addresses import ADDRESSES, WIRES
from tests.acceptance.bad_inputs.cases import HOST_DETAILS, JSON, MODEL, Case, assert_tells_little
from tests.acceptance.bad_inputs.datasets import DATASETS
from tests.acceptance.bad_inputs.json_bodies import JSON_BODIES
from tests.acceptance.bad_inputs.models import MODELS
from tests.acceptance.bad_inputs.predictions import PREDICTIONS
from tests.acceptance.bad_inputs.runs import ALL_RUNS
from tests.acceptance.client import DIGITS, Fitserve, accepted, refused, run_body
from tests.acceptance.running import EMBEDDED_ONLY, RunningService

SECONDS = 10.0
"""Longest time that a refusal may take. On an idle machine it takes less than one; other work may slow it down."""
GROWTH_BYTES = 192 * 1024**2
"""What the API process may have gained when all is over: an allocator keeps some of what the largest bodies took."""


@pytest.fixture(scope="module")
def made(running: RunningService) -> dict[str, str]:
    """What the tables' names stand for: a model that answers, one that has learnt nothing, a run that has ended, datasets."""
    fitserve = Fitserve(running.http)
    model, dataset = fitserve.create_model(), fitserve.upload_digits()
    run = fitserve.succeeded(fitserve.start(model, dataset, {"epochs": 1}))["id"]
    arrays = fitserve.upload_json(x=[[0.0], [1.0]], y=[0, 1])["id"]
    targets = fitserve.upload_json(rows=[{"x": place, "none": None, "one": 1} for place in range(20)])["id"]
    untrained = fitserve.create_model()
    return {"model": model, "dataset": dataset, "run": run, "arrays": arrays, "targets": targets, "untrained": untrained}


@pytest.fixture(scope="module")
def is_well(running: RunningService, made: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Asserts that an ordinary request is answered; at the end, that the API has not grown, and that nothing bad was stored."""
    fitserve = Fitserve(running.http)
    api = running.api()
    before = api.memory_info().rss

    def check() -> None:
        answer = fitserve.http.post(f"/v1/models/{made['model']}:predict", json={"instances": [[0] * 64]})
        assert answer.status_code == 200, answer.text
        assert fitserve.http.get("/livez").status_code == 200

    yield check
    assert running.api() == api, "the same process still answers"
    assert api.memory_info().rss - before < GROWTH_BYTES
    refused(fitserve.http.get("/api/models/bad-input"), 404)
    assert accepted(fitserve.http.get("/readyz"))["ready"]


def cases(table: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table, ids=lambda case: case.name)


def assert_case(fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case) -> None:
    began = time.monotonic()
    response = case.send(fitserve.http, made)
    seconds = time.monotonic() - began
    case.assert_refused(response)
    assert seconds < SECONDS
    is_well()


@cases(JSON_BODIES)
def test_a_body_that_cannot_be_read_is_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@cases(MODELS)
@EMBEDDED_ONLY
def test_a_model_that_cannot_be_is_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@cases(DATASETS)
@EMBEDDED_ONLY
def test_data_that_are_none_are_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@cases(ALL_RUNS)
def test_a_run_that_cannot_be_is_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@cases(PREDICTIONS)
@EMBEDDED_ONLY
def test_a_prediction_that_cannot_be_is_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@cases(ADDRESSES)
@EMBEDDED_ONLY
def test_an_address_that_is_none_is_refused(
    fitserve: Fitserve, made: dict[str, str], is_well: Callable[[], None], case: Case
) -> None:
    assert_case(fitserve, made, is_well, case)


@pytest.mark.parametrize("what", WIRES)
def test_what_is_hardly_http_is_refused(running: RunningService, is_well: Callable[[], None], what: str) -> None:
    sent, status = WIRES[what]
    began = time.monotonic()
    answer = exchange(running.url, sent)
    assert time.monotonic() - began < SECONDS
    assert re.match(rb"HTTP/1\.1 %d " % status, answer), answer[:300]
    assert not HOST_DETAILS.search(answer.decode("latin-1"))
    is_well()


def exchange(url: str, sent: bytes) -> bytes:
    """The first bytes of the answer to bytes that a client of HTTP would not send."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=SECONDS) as connection:
        with suppress(OSError):  # the service may have answered and closed the connection before the end
            connection.sendall(sent)
        return connection.recv(65_536)


def test_the_same_key_for_another_run_is_refused(fitserve: Fitserve, made: dict[str, str]) -> None:
    headers = {"Idempotency-Key": "bad-input"}
    body = run_body(made["untrained"], made["dataset"], {"epochs": 1})
    first = accepted(fitserve.http.post("/api/runs", json=body, headers=headers), 202)["id"]
    other = fitserve.http.post("/api/runs", json=body | {"seed": 2}, headers=headers)
    assert refused(other, 422)["errors"][0]["pointer"] == "header:Idempotency-Key"
    fitserve.ended(first)


def test_what_is_in_use_is_not_deleted(fitserve: Fitserve, busy_slot: str) -> None:
    run = fitserve.run(busy_slot)
    for path in (f"/api/datasets/{run['dataset']}", f"/api/models/{run['model']}", f"/api/runs/{busy_slot}"):
        assert_tells_little(fitserve.http.delete(path))
        refused(fitserve.http.delete(path), 409)


def test_a_version_that_is_deleted_between_two_predictions_is_gone_for_the_second(fitserve: Fitserve) -> None:
    model = fitserve.create_model()
    fitserve.succeeded(fitserve.start(model, fitserve.upload_digits(), {"epochs": 1}))
    ask = {"rows": [[0] * 64]}
    accepted(fitserve.http.post(f"/api/models/{model}:predict", json=ask))
    assert fitserve.http.delete(f"/api/models/{model}/versions/1").status_code == 204

    def is_gone() -> bool:
        response = fitserve.http.post(f"/api/models/{model}:predict", json=ask)
        assert response.status_code in (200, 404), response.text
        return response.status_code == 404

    deadline = time.monotonic() + SECONDS
    while not is_gone():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a\0b.csv", "C:\\x\\y.csv", "x" * 3000, "<script>.csv", "\u202e.csv"])
def test_a_file_may_have_any_name_and_stays_in_its_folder(fitserve: Fitserve, running: RunningService, name: str) -> None:
    files = {"file": (name, DIGITS.read_bytes(), "text/csv")}
    stored = accepted(fitserve.http.post("/api/datasets", files=files), 201)["name"]
    assert len(stored) <= 255
    assert stored.isprintable()
    assert not {"/", "\\"} & set(stored)
    assert not list(running.data_dir.parent.rglob("passwd"))


def test_a_chunked_model_is_read_like_any_other(fitserve: Fitserve) -> None:
    pieces = iter([json.dumps(MODEL | {"lossy": 1}).encode()])
    problem = refused(fitserve.http.post("/api/models", content=pieces, headers=JSON), 422)
    assert problem["errors"][0]["pointer"] == "/lossy"


def test_the_tables_have_no_case_twice() -> None:
    for table in (JSON_BODIES, MODELS, DATASETS, ALL_RUNS, PREDICTIONS, ADDRESSES):
        names = [case.name for case in table]
        assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
