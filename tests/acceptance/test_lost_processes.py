"""Any process may be killed at any moment: what was accepted still comes to its end, and no epoch is told twice."""

from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.acceptance.client import SLOW_FIT, Event, Fitserve
from tests.acceptance.running import READY_SECONDS, RunningService, wait_until

EPOCHS = list(range(1, SLOW_FIT["epochs"] + 1))


@pytest.fixture(autouse=True)
def a_trainer_waits_afterwards(running: RunningService) -> Iterator[None]:
    """Let the tests that follow find the service as this test has found it."""
    yield
    running.wait_until_ready()


def test_a_run_whose_trainer_is_killed_is_done_again(fitserve: Fitserve, running: RunningService) -> None:
    run_id = fitserve.start_digits(SLOW_FIT)
    fitserve.wait_for_epoch(run_id)
    running.trainer().kill()
    run = fitserve.ended(run_id)
    assert (run["state"], run["attempt"], run["failures"]) == ("succeeded", 2, 1), run["failure"]
    assert fitserve.metrics(run_id)["epoch"] == EPOCHS
    assert "resumed" in {event.kind for event in fitserve.events(run_id)}


def test_a_run_whose_worker_is_killed_is_done_again(fitserve: Fitserve, running: RunningService) -> None:
    run_id = fitserve.start_digits(SLOW_FIT)
    fitserve.wait_for_epoch(run_id)
    worker, trainer = running.worker(), running.trainer()
    worker.kill()
    wait_until(lambda: not _is_alive(trainer), 15, "the trainer ends with its worker")
    run = fitserve.ended(run_id)
    assert (run["state"], run["attempt"], run["failures"]) == ("succeeded", 2, 1), run["failure"]
    assert fitserve.metrics(run_id)["epoch"] == EPOCHS
    assert running.worker().pid != worker.pid
    wait_until(lambda: len(list(running.data_dir.glob("scratch/wrk_*"))) == 1, 15, "the files of the dead worker are removed")


def test_a_run_does_not_notice_that_the_api_is_killed(fitserve: Fitserve, running: RunningService) -> None:
    run_id = fitserve.start_digits(SLOW_FIT)
    waiting = fitserve.start_digits({"epochs": 1})
    fitserve.wait_for_epoch(run_id)
    running.api().kill()
    wait_until(running.is_ready, READY_SECONDS, "the API is back")
    run = fitserve.ended(run_id)
    assert (run["state"], run["attempt"]) == ("succeeded", 1), run["failure"]
    assert fitserve.metrics(run_id)["epoch"] == EPOCHS
    fitserve.succeeded(waiting)


def test_a_stream_goes_on_where_the_killed_api_broke_it_off(fitserve: Fitserve, running: RunningService) -> None:
    run_id = fitserve.start_digits(SLOW_FIT)
    seen: list[Event] = []
    with pytest.raises(httpx.TransportError):
        _follow_and_kill_api(fitserve, running, run_id, seen)
    wait_until(running.is_ready, READY_SECONDS, "the API is back")
    rest = [event for event in fitserve.events(run_id, after=seen[-1].number) if event.number is not None]
    assert [event.number for event in seen + rest] == list(range(1, len(seen) + len(rest) + 1))
    assert [event.data["epoch"] for event in seen + rest if event.kind == "epoch"] == EPOCHS


def _follow_and_kill_api(fitserve: Fitserve, running: RunningService, run_id: str, seen: list[Event]) -> None:
    for event in fitserve.events(run_id):
        if event.number is not None:
            seen.append(event)
        if event.kind == "epoch" and event.data["epoch"] == 2:
            running.api().kill()


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
