"""Processes that are asked to stop, as an update of the service does: no request fails, and no work is done twice."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.client import ENDLESS_FIT, SLOW_FIT, Fitserve
from tests.acceptance.load import Load
from tests.acceptance.running import RunningService, wait_until

RESTARTS = 3


@pytest.fixture
def endless_run(fitserve: Fitserve) -> Iterator[str]:
    """A run that goes on until the test is over."""
    run_id = fitserve.start_digits(ENDLESS_FIT, publish=False)
    yield run_id
    fitserve.cancel(run_id)
    assert fitserve.ended(run_id)["state"] == "cancelled"


def test_no_request_fails_while_the_api_is_replaced(fitserve: Fitserve, running: RunningService, endless_run: str) -> None:
    body = {"model": fitserve.create_model(), "dataset": fitserve.upload_digits(), "fit": {"epochs": 1}, "priority": -1}
    accepted: list[str] = []

    def submit(client: httpx.Client) -> httpx.Response:
        response = client.post("/api/runs", json=body)
        accepted.append(response.json()["id"])
        time.sleep(0.1)
        return response

    with Load(running.url, lambda c: c.get(f"/api/runs/{endless_run}"), lambda c: c.get("/api/models"), submit) as load:
        for _ in range(RESTARTS):
            time.sleep(0.5)
            leaving = running.api()
            leaving.terminate()
            wait_until(lambda process=leaving: not process.is_running(), 20, "the old API ends")
            wait_until(running.is_ready, 20, "the new API is ready")
    for waiting in accepted:
        assert fitserve.cancel(waiting)["state"] == "cancelled"
    assert load.failures == []
    assert load.answered > 100
    assert fitserve.run(endless_run)["attempt"] == 1


def test_a_fit_whose_worker_is_asked_to_stop_goes_on_where_it_was(fitserve: Fitserve, running: RunningService) -> None:
    undisturbed = fitserve.start_digits(SLOW_FIT)
    expected = fitserve.succeeded(undisturbed)
    run_id = fitserve.start(expected["model"], expected["dataset"], SLOW_FIT)
    fitserve.wait_for_epoch(run_id, 3)
    worker, began = running.worker(), time.monotonic()
    worker.terminate()
    wait_until(lambda: not worker.is_running(), 20, "the worker ends")
    assert time.monotonic() - began < 15
    run = fitserve.succeeded(run_id)
    assert [attempt["cause"] for attempt in run["attempts"]] == ["worker_shutdown", "completed"]
    assert run["attempts"][1]["from_epoch"] >= 3
    assert (run["failures"], run["exact"], run["inexact_reason"]) == (0, True, None)
    assert fitserve.metrics(run_id) == fitserve.metrics(undisturbed)
    running.wait_until_ready()
