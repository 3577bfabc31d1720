"""What Fitserve is for: data in, a model fitted and watched, its files, its predictions."""

import csv
import hashlib

import pytest

from tests.acceptance.client import DIGITS, TUTORIAL_FIT, Event, Fitserve, accepted, run_body
from tests.acceptance.running import RunningService

EPOCHS = 20


@pytest.fixture(scope="module")
def held_out() -> tuple[list[list[int]], list[int]]:
    """Pixels and digit of the rows that the fit has kept for validation."""
    with DIGITS.open(newline="") as file:
        rows = [[int(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    rows = rows[int(len(rows) * (1 - TUTORIAL_FIT["validation_split"])) :]
    return [row[:-1] for row in rows], [row[-1] for row in rows]


@pytest.fixture(scope="module")
def story(running: RunningService) -> tuple[str, str, list[Event]]:
    """The tutorial's model after its run: model, run and all events of the run."""
    fitserve = Fitserve(running.http)
    model, dataset = fitserve.create_model(), fitserve.upload_digits()
    response = fitserve.http.post("/api/runs", json=run_body(model, dataset), headers={"Idempotency-Key": f"story-{model}"})
    run_id = accepted(response, 202)["id"]
    assert response.headers["Location"] == f"/api/runs/{run_id}"
    return model, run_id, list(fitserve.events(run_id))


def test_the_events_tell_every_epoch_without_a_gap(story: tuple[str, str, list[Event]]) -> None:
    _, _, events = story
    numbers = [event.number for event in events if event.number is not None]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event.data["epoch"] for event in events if event.kind == "epoch"] == list(range(1, EPOCHS + 1))
    assert (events[-1].kind, events[-1].data["state"]) == ("done", "succeeded")
    phases = [event.data["phase"] for event in events if event.kind == "state"]
    assert phases.index("loading") < phases.index("fitting") < phases.index("publishing")


def test_the_run_has_learnt_to_tell_the_digits_apart(fitserve: Fitserve, story: tuple[str, str, list[Event]]) -> None:
    _, run_id, _ = story
    run = fitserve.run(run_id)
    assert (run["state"], run["attempt"], run["version"]) == ("succeeded", 1, 1)
    assert run["publish"] == {"state": "published", "reason": None}
    assert run["progress"]["fraction"] == 1
    assert run["metrics"]["val_accuracy"] >= 0.95


def test_the_metrics_are_columns_like_those_of_keras(fitserve: Fitserve, story: tuple[str, str, list[Event]]) -> None:
    _, run_id, _ = story
    columns = fitserve.metrics(run_id)
    assert columns["epoch"] == list(range(1, EPOCHS + 1))
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(columns["metrics"])
    assert {len(column) for column in columns["metrics"].values()} == {EPOCHS}
    assert columns["metrics"]["loss"][-1] < columns["metrics"]["loss"][0]


def test_the_files_are_those_that_are_listed(fitserve: Fitserve, story: tuple[str, str, list[Event]]) -> None:
    _, run_id, _ = story
    files = accepted(fitserve.http.get(f"/api/runs/{run_id}/artifacts"))["items"]
    for file in files:
        content = fitserve.http.get(f"/api/runs/{run_id}/artifacts/{file['name']}").content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size_bytes"], file["sha256"])
        assert content
    assert {".keras", ".onnx"} <= {f".{file['name'].rpartition('.')[2]}" for file in files}


def test_the_version_agrees_with_keras_and_brings_an_example_that_works(
    fitserve: Fitserve, story: tuple[str, str, list[Event]]
) -> None:
    model, run_id, _ = story
    version = accepted(fitserve.http.get(f"/api/models/{model}/versions/1"))
    assert (version["run"], version["engine"], version["parity"]["agrees"]) == (run_id, "onnx", True)
    assert version["parity"]["rows"] > 0
    assert version["parameters"] == 64 * 25 + 25 + 25 * 15 + 15 + 15 + 1
    assert accepted(fitserve.http.post(f"/api/models/{model}:predict", json=version["example"]))["predictions"]


def test_held_out_rows_are_predicted_right(
    fitserve: Fitserve, story: tuple[str, str, list[Event]], held_out: tuple[list[list[int]], list[int]]
) -> None:
    model, _, _ = story
    rows, truths = held_out
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": rows}))
    labels = [prediction["label"] for prediction in answer["predictions"]]
    right = sum(label == truth for label, truth in zip(labels, truths, strict=True))
    assert right / len(truths) >= 0.95
    assert (answer["model"], answer["version"]) == (model, 1)


def test_both_protocols_give_the_same_numbers(
    fitserve: Fitserve, story: tuple[str, str, list[Event]], held_out: tuple[list[list[int]], list[int]]
) -> None:
    model, _, _ = story
    rows = held_out[0][:10]
    native = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": rows}))["predictions"]
    serving = accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"instances": rows}))["predictions"]
    of_a_one = [prediction["probabilities"]["1"] for prediction in native]
    assert of_a_one == pytest.approx([row[0] for row in serving], rel=1e-6)


def test_an_alias_answers_for_its_version(
    fitserve: Fitserve, story: tuple[str, str, list[Event]], held_out: tuple[list[list[int]], list[int]]
) -> None:
    model, _, _ = story
    body = {"instances": held_out[0][:3]}
    accepted(fitserve.http.put(f"/api/models/{model}/aliases/production", json={"version": 1}))
    by_alias = accepted(fitserve.http.post(f"/v1/models/{model}/labels/production:predict", json=body))
    assert by_alias == accepted(fitserve.http.post(f"/v1/models/{model}/versions/1:predict", json=body))


def test_the_same_request_with_the_same_seed_learns_the_same(fitserve: Fitserve, story: tuple[str, str, list[Event]]) -> None:
    model, run_id, _ = story
    again = fitserve.start(model, fitserve.run(run_id)["dataset"])
    fitserve.succeeded(again)
    assert fitserve.metrics(again) == fitserve.metrics(run_id)
