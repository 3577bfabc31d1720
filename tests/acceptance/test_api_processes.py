"""Several API processes at one address: they share the clients, count together, and stand in for each other."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance.load import Load
from tests.acceptance.running import running_api, wait_until

PROCESSES = 2
CLIENTS = 40


class SeveralApis:
    """The processes below ``fitserve api --workers``, and a client of their address."""

    def __init__(self, http: httpx.Client, supervisor: psutil.Process) -> None:
        self.http = http
        self.url = str(http.base_url)
        self._supervisor = supervisor

    def processes(self) -> list[psutil.Process]:
        """The API processes, oldest first."""
        return sorted(self._supervisor.children(), key=lambda process: process.create_time())

    def are_complete(self) -> bool:
        """Whether all of them answer."""
        return self.measured("fitserve_api_processes") == PROCESSES

    def measured(self, name: str) -> float:
        """The sum of a metric's samples, whatever their labels."""
        text = self.ask("/metrics").text
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))

    def ask(self, path: str) -> httpx.Response:
        """The answer on a connection of its own."""
        response = httpx.get(f"{self.url}{path}", trust_env=False, timeout=10)
        assert response.is_success, response.text
        return response


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeveralApis]:
    settings = {"FITSERVE_WORKERS": str(PROCESSES), "FITSERVE_SWEEP_SECONDS": "0.5"}
    with running_api(tmp_path_factory.mktemp("several") / "data", settings) as (http, supervisor):
        yield SeveralApis(http, supervisor)


@pytest.fixture(autouse=True)
def _complete(apis: SeveralApis) -> None:
    wait_until(apis.are_complete, 30, "all API processes answer")


def test_clients_that_keep_their_connections_are_spread_over_the_processes(apis: SeveralApis) -> None:
    before = {process: process.num_fds() for process in apis.processes()}
    with ExitStack() as open_clients:
        for _ in range(CLIENTS):
            client = open_clients.enter_context(httpx.Client(base_url=apis.url, trust_env=False))
            assert client.get("/livez").is_success
            time.sleep(0.005)
        served = [process.num_fds() - number for process, number in before.items()]
    assert sum(served) >= CLIENTS
    assert min(served) >= CLIENTS / PROCESSES / 4


def test_any_process_shows_what_all_have_counted(apis: SeveralApis) -> None:
    before = apis.measured("fitserve_http_requests_total")
    for _ in range(CLIENTS):
        apis.ask("/api/models")
    shown = {apis.measured("fitserve_http_request_seconds_count") - index for index in range(10)}
    assert len(shown) == 1, "every look adds one"
    assert apis.measured("fitserve_http_requests_total") >= before + CLIENTS


def test_every_process_measures_the_queue_and_it_is_shown_once(apis: SeveralApis) -> None:
    wait_until(lambda: "\nfitserve_queued_runs 0.0" in apis.ask("/metrics").text, 10, "a measured queue")
    assert len(re.findall(r"^fitserve_queued_runs", apis.ask("/metrics").text, re.MULTILINE)) == 1


def test_the_page_of_the_interface_is_written_without_counting_as_a_process(apis: SeveralApis) -> None:
    assert apis.ask("/openapi.json").json()["info"]["title"] == "Fitserve"
    assert apis.measured("fitserve_api_processes") == PROCESSES


def test_no_request_fails_while_one_process_after_the_other_is_replaced(apis: SeveralApis) -> None:
    def ask_anew(_: httpx.Client) -> httpx.Response:
        return httpx.get(f"{apis.url}/api/models", trust_env=False, timeout=30)

    kept = [lambda client: client.get("/api/models")] * 4
    with Load(apis.url, *kept, ask_anew, ask_anew) as load:
        for leaving in apis.processes():
            leaving.terminate()
            wait_until(lambda process=leaving: not process.is_running(), 20, "the old process ends")
            wait_until(apis.are_complete, 20, "the new process answers")
    assert load.failures == []
    assert load.answered > 500


def test_when_a_process_is_killed_the_others_go_on_and_nothing_counted_is_lost(apis: SeveralApis) -> None:
    counted = apis.measured("fitserve_http_requests_total")
    clients = 16
    with Load(apis.url, *[lambda client: client.get("/api/models")] * clients) as load:
        time.sleep(0.5)
        killed, survivor = apis.processes()
        killed.kill()
        wait_until(lambda: apis.measured("fitserve_api_processes") == 1, 10, "the other one alone answers")
        for _ in range(CLIENTS):
            apis.ask("/livez")
        wait_until(apis.are_complete, 20, "a new process answers")
    assert len(load.failures) < clients, "only connections of the killed process break"
    assert survivor in apis.processes()
    assert killed not in apis.processes()
    assert apis.measured("fitserve_http_requests_total") >= counted + load.answered


def test_clients_that_wait_at_a_process_that_hangs_are_served_by_the_others(apis: SeveralApis) -> None:
    hanging, _ = apis.processes()
    hanging.suspend()
    try:
        for _ in range(CLIENTS):
            apis.ask("/livez")
    finally:
        hanging.resume()


def test_a_stop_by_hand_does_not_wait_for_anybody(tmp_path: Path) -> None:
    settings = {"FITSERVE_WORKERS": str(PROCESSES), "FITSERVE_DRAIN_SECONDS": "60"}
    with running_api(tmp_path / "data", settings) as (_, supervisor):
        supervisor.send_signal(signal.SIGINT)
        supervisor.wait(20)
