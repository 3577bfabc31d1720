"""Event streams over HTTP, on real databases."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from httpx_sse import connect_sse
from prometheus_client import CollectorRegistry

from service.infra.database import Database
from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.runs.repository import EVENTS_AT_ONCE
from service.runs.tables import Run
from service.settings import Settings
from tests.acceptance.running import wait_until
from tests.factories import new_run, queue_run

STREAMS = 3


@pytest.fixture
def app(settings: Settings) -> Application:
    """An API that holds few streams."""
    limited = settings.model_copy(update={"max_workspace_streams": STREAMS, "sweep_seconds": 3600.0})
    return create_app(limited, PredictionMetrics(CollectorRegistry()))


def _cancel(run: Run) -> None:
    run.request_cancel("none")
    run.transition("cancelled")


def test_a_stream_tells_all_events_however_many(http: httpx.Client, database: Database) -> None:
    count = 2 * EVENTS_AT_ONCE + 1
    with database.write() as session:
        run = new_run(session)
        for number in range(count):
            run.emit("log", {"message": str(number)})
        _cancel(run)
        run_id = run.id

    with connect_sse(http, "GET", f"/api/runs/{run_id}/events") as stream:
        assert [int(message.id) for message in stream.iter_sse() if message.event == "log"] == list(range(1, count + 1))


def test_of_many_streams_at_once_those_that_find_no_place_are_refused(http: httpx.Client, database: Database) -> None:
    run_id = queue_run(database)

    def ask(number: int) -> int:
        with http.stream("GET", f"/api/runs/{run_id}/events") as answer:
            if answer.status_code != 200:
                refused.append(number)
                return answer.status_code
            wait_until(lambda: len(refused) == len(clients) - STREAMS, 20, "all others refused")
            return answer.status_code

    refused: list[int] = []
    clients = range(4 * STREAMS)
    with ThreadPoolExecutor(len(clients)) as threads:
        statuses = list(threads.map(ask, clients))

    assert sorted(statuses) == [200] * STREAMS + [429] * (len(clients) - STREAMS)


def test_a_stream_that_its_client_has_left_gives_its_place_back(http: httpx.Client, database: Database) -> None:
    run_id = queue_run(database)
    for _ in range(2 * STREAMS):
        wait_until(lambda: _is_let_in(http, run_id), 20, "a place")


def _is_let_in(http: httpx.Client, run_id: str) -> bool:
    with http.stream("GET", f"/api/runs/{run_id}/events") as answer:
        return answer.status_code == 200


def test_waiting_for_a_run_that_has_ended_needs_no_place(http: httpx.Client, database: Database) -> None:
    with database.write() as session:
        ended = new_run(session)
        _cancel(ended)
        ended_id, queued_id = ended.id, new_run(session).id

    with connect_sse(http, "GET", f"/api/runs/{queued_id}/events") as stream:
        next(stream.iter_sse())
        for _ in range(STREAMS):
            assert http.get(f"/api/runs/{ended_id}", headers={"Prefer": "wait=60"}).json()["state"] == "cancelled"
