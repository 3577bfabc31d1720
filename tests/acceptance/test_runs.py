"""The life of a run as its client sees it: repeats, waiting, cancelling, deleting, failing, listing."""

import time
import uuid

import pytest

from tests.acceptance.client import (
    ENDLESS_FIT,
    TUTORIAL_FIT,
    Fitserve,
    accepted,
    refused,
    run_body,
)

SHORT_FIT = {"epochs": 2, "batch_size": 16}


def test_the_same_key_makes_a_run_only_once(fitserve: Fitserve) -> None:
    body = run_body(fitserve.create_model(), fitserve.upload_digits(), SHORT_FIT)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = accepted(fitserve.http.post("/api/runs", json=body, headers=headers), 202)
    again = accepted(fitserve.http.post("/api/runs", json=body, headers=headers), 202)
    assert again["id"] == first["id"]
    other = fitserve.http.post("/api/runs", json=body | {"seed": 2}, headers=headers)
    assert refused(other, 422)["errors"][0]["pointer"] == "header:Idempotency-Key"
    listed = accepted(fitserve.http.get("/api/runs", params={"model": body["model"]}))["items"]
    assert [run["id"] for run in listed] == [first["id"]]
    fitserve.succeeded(first["id"])
    assert accepted(fitserve.http.post("/api/runs", json=body, headers=headers), 202)["id"] == first["id"]


def test_a_stream_goes_on_after_the_last_event_seen(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(TUTORIAL_FIT)
    seen = []
    for event in fitserve.events(run_id):
        if event.number is not None:
            seen.append(event)
        if event.kind == "epoch" and event.data["epoch"] == 2:
            break
    rest = [event for event in fitserve.events(run_id, after=seen[-1].number) if event.number is not None]
    whole = [event for event in fitserve.events(run_id) if event.number is not None]
    assert seen + rest == whole


def test_a_stream_that_begins_after_the_end_tells_everything(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(SHORT_FIT)
    fitserve.succeeded(run_id)
    assert [event.kind for event in fitserve.events(run_id)][-1] == "done"


def test_waiting_ends_when_the_run_ends(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(SHORT_FIT)
    began = time.monotonic()
    response = fitserve.http.get(f"/api/runs/{run_id}", headers={"Prefer": "wait=55"}, timeout=60)
    assert time.monotonic() - began < 50
    assert response.headers["Preference-Applied"] == "wait=55"
    assert accepted(response)["state"] == "succeeded"


def test_waiting_ends_when_the_time_is_over(fitserve: Fitserve, busy_slot: str) -> None:
    began = time.monotonic()
    response = fitserve.http.get(f"/api/runs/{busy_slot}", headers={"Prefer": "wait=1"})
    assert accepted(response)["state"] == "running"
    assert 0.9 < time.monotonic() - began < 5


def test_a_queued_run_is_cancelled_at_once(fitserve: Fitserve, busy_slot: str) -> None:
    first, second = fitserve.start_digits(), fitserve.start_digits()
    assert [fitserve.run(run_id)["queue_position"] for run_id in (first, second)] == [1, 2]
    assert fitserve.cancel(first)["state"] == "cancelled"
    assert fitserve.run(second)["queue_position"] == 1
    fitserve.cancel(second)


def test_what_is_urgent_overtakes(fitserve: Fitserve, busy_slot: str) -> None:
    usual = fitserve.start_digits()
    urgent = fitserve.start_digits(priority=10)
    assert [fitserve.run(run_id)["queue_position"] for run_id in (usual, urgent)] == [2, 1]
    fitserve.cancel(usual)
    fitserve.cancel(urgent)


def test_a_cancelled_run_keeps_nothing_unless_asked(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(ENDLESS_FIT)
    fitserve.wait_for_epoch(run_id)
    began = time.monotonic()
    assert fitserve.cancel(run_id, keep="none")["cancel_requested_at"]
    fitserve.cancel(run_id, keep="none")  # a second time is harmless
    run = fitserve.ended(run_id)
    assert time.monotonic() - began < 15
    assert (run["state"], run["version"], run["failure"]) == ("cancelled", None, None)
    refused(fitserve.http.post(f"/api/runs/{run_id}:cancel", json={}), 409)


def test_a_cancelled_run_publishes_its_last_weights_if_asked(fitserve: Fitserve) -> None:
    model = fitserve.create_model()
    run_id = fitserve.start(model, fitserve.upload_digits(), ENDLESS_FIT)
    fitserve.wait_for_epoch(run_id)
    fitserve.cancel(run_id, keep="last")
    run = fitserve.ended(run_id)
    assert (run["state"], run["version"]) == ("cancelled", 1)
    example = accepted(fitserve.http.get(f"/api/models/{model}/versions/1"))["example"]
    assert accepted(fitserve.http.post(f"/api/models/{model}:predict", json=example))["version"] == 1


def test_a_run_that_has_succeeded_cannot_be_cancelled(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(SHORT_FIT)
    fitserve.succeeded(run_id)
    assert "succeeded" in refused(fitserve.http.post(f"/api/runs/{run_id}:cancel", json={}), 409)["detail"]


def test_what_an_active_run_needs_cannot_be_deleted(fitserve: Fitserve, busy_slot: str) -> None:
    run = fitserve.run(busy_slot)
    dataset, model = f"/api/datasets/{run['dataset']}", f"/api/models/{run['model']}"
    for path in (dataset, model, f"/api/runs/{busy_slot}"):
        refused(fitserve.http.delete(path), 409)
    queued = fitserve.start_digits()
    waiting = fitserve.run(queued)
    refused(fitserve.http.delete(f"/api/datasets/{waiting['dataset']}"), 409)
    fitserve.cancel(queued)
    for path in (f"/api/datasets/{waiting['dataset']}", f"/api/models/{waiting['model']}", f"/api/runs/{queued}"):
        assert fitserve.http.delete(path).status_code == 204
        refused(fitserve.http.get(path), 404)


def test_a_run_outlives_its_dataset_and_model(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(SHORT_FIT)
    run = fitserve.succeeded(run_id)
    assert fitserve.http.delete(f"/api/datasets/{run['dataset']}").status_code == 204
    assert fitserve.http.delete(f"/api/models/{run['model']}").status_code == 204
    assert fitserve.run(run_id)["state"] == "succeeded"
    assert fitserve.metrics(run_id)["epoch"] == [1, 2]
    refused(fitserve.http.post(f"/api/models/{run['model']}:predict", json={"rows": [[0] * 64]}), 404)


def test_a_deleted_run_leaves_its_version(fitserve: Fitserve) -> None:
    run_id = fitserve.start_digits(SHORT_FIT)
    run = fitserve.succeeded(run_id)
    assert fitserve.http.delete(f"/api/runs/{run_id}").status_code == 204
    answer = fitserve.http.post(f"/api/models/{run['model']}:predict", json={"rows": [[0] * 64]})
    assert accepted(answer)["version"] == 1


def test_pages_of_runs_neither_skip_nor_repeat(fitserve: Fitserve, busy_slot: str) -> None:
    model, dataset = fitserve.create_model(), fitserve.upload_digits()
    mine = [fitserve.start(model, dataset, tags=["even" if number % 2 == 0 else "odd"]) for number in range(5)]
    pages, token = [], None
    while token is not None or not pages:
        query = {"model": model, "page_size": 2} | ({"page_token": token} if token else {})
        page = accepted(fitserve.http.get("/api/runs", params=query))
        pages.append([run["id"] for run in page["items"]])
        token = page["next_page_token"]
    assert pages == [[mine[4], mine[3]], [mine[2], mine[1]], [mine[0]]]
    for run_id in mine:
        fitserve.cancel(run_id)


def test_runs_are_found_by_tag_state_dataset_and_model(fitserve: Fitserve, busy_slot: str) -> None:
    model, dataset = fitserve.create_model(), fitserve.upload_digits()
    even, odd = fitserve.start(model, dataset, tags=["even"]), fitserve.start(model, dataset, tags=["odd"])
    fitserve.cancel(odd)

    def found(**query: str) -> list[str]:
        return [run["id"] for run in accepted(fitserve.http.get("/api/runs", params=query))["items"]]

    assert found(model=model, order_by="created_at") == [even, odd]
    assert found(model=model, tag="even") == [even]
    assert found(dataset=dataset, state="cancelled") == [odd]
    assert found(model=model, tag="even", state="cancelled") == []
    fitserve.cancel(even)


REGRESSION = {"loss": "mse", "optimizer": {"type": "SGD", "learning_rate": 1e6}}
"""Such long steps leave the numbers behind at once."""
FAILURES = [
    pytest.param([{"type": "Dense", "units": 1}], REGRESSION, "not_finite", id="loss that becomes infinite"),
    pytest.param(
        [{"type": "Dense", "units": 8, "activation": "softmax"}],
        {"loss": "BinaryCrossentropy", "optimizer": "SGD"},
        "bad_data",
        id="output that does not meet the target",
    ),
    pytest.param(
        [{"type": "Conv2D", "filters": 4, "kernel_size": [3, 3]}, {"type": "Dense", "units": 1}],
        {"loss": "mse", "optimizer": "SGD"},
        "keras_error",
        id="layer that does not take the input",
    ),
]


@pytest.mark.parametrize(("layers", "compiled", "kind"), FAILURES)
def test_a_run_that_cannot_work_tells_why_and_the_service_goes_on(
    fitserve: Fitserve, layers: list[dict[str, object]], compiled: dict[str, object], kind: str
) -> None:
    dataset = fitserve.upload_digits()
    run = fitserve.ended(fitserve.start(fitserve.create_model(layers, compiled), dataset, SHORT_FIT))
    assert (run["state"], run["version"], run["attempt"]) == ("failed", None, 1)
    assert run["failure"]["type"] == kind
    assert run["failure"]["message"]
    assert run["failure"]["hint"]
    assert "Traceback" not in str(run["failure"])
    assert "site-packages" not in str(run["failure"])
    fitserve.succeeded(fitserve.start(fitserve.create_model(), dataset, SHORT_FIT))
