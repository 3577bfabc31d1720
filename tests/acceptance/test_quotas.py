"""Quotas of requests, over real processes and a real Redis, and as an operator sets them."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import redis

from tests.acceptance.client import Fitserve, accepted
from tests.acceptance.running import environment, running_api, wait_until
from tests.servers import redis_server

LIMIT = 20
PATHS = ("/api/models", "/v1/models/my_model", "/v2")


def workspaces(data_dir: Path, *arguments: str) -> str:
    """What ``fitserve workspaces`` prints."""
    command = [sys.executable, "-m", "service.cli", "workspaces", *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(command, env=environment({}), capture_output=True, text=True, check=True, timeout=60).stdout


def ask(url: httpx.URL, times: int) -> list[httpx.Response]:
    """Answers to requests of all protocols, each on a connection of its own."""
    return [httpx.get(url.join(PATHS[number % len(PATHS)]), trust_env=False, timeout=30) for number in range(times)]


def refused(answers: list[httpx.Response]) -> int:
    """How many were refused for their number; every other answer is one that the request deserves."""
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= {200, 404, 429}, statuses
    return statuses[429]


def test_processes_that_share_a_redis_count_together(tmp_path: Path, redis_url: str) -> None:
    settings = {"FITSERVE_BROKER_URL": redis_url, "FITSERVE_MAX_REQUESTS_PER_MINUTE": str(LIMIT)}
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    with running_api(tmp_path, settings) as (first, _), running_api(tmp_path, settings) as (second, _):
        assert refused(ask(first.base_url, 12)) == 0
        assert refused(ask(second.base_url, 12)) == 4

        refusal = first.post("/v1/models/my_model:predict", json={"instances": [[0]]})
        assert refusal.status_code == 429
        assert 0 < int(refusal.headers["Retry-After"]) <= 60
        assert "20 of 20 requests are used" in refusal.json()["error"]


def test_a_redis_that_is_killed_stops_nobody_and_each_process_counts_for_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with ExitStack() as stack:
        url = stack.enter_context(redis_server(tmp_path))
        settings = {"FITSERVE_BROKER_URL": url, "FITSERVE_MAX_REQUESTS_PER_MINUTE": str(LIMIT)}
        http, _ = stack.enter_context(running_api(tmp_path / "data", settings, log))
        assert refused(ask(http.base_url, LIMIT + 1)) == 1
        with redis.Redis.from_url(url) as client:
            os.kill(client.info()["process_id"], signal.SIGKILL)

        assert refused(ask(http.base_url, LIMIT)) == 0
        assert refused(ask(http.base_url, 3)) == 3
    assert log.read_text().count("rates.counted_alone") == 1


def test_a_redis_that_hangs_makes_requests_wait_for_a_moment_only(tmp_path: Path) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(redis_server(tmp_path))
        settings = {"FITSERVE_BROKER_URL": url, "FITSERVE_MAX_REQUESTS_PER_MINUTE": "1000"}
        http, _ = stack.enter_context(running_api(tmp_path / "data", settings))
        assert refused(ask(http.base_url, 3)) == 0
        with redis.Redis.from_url(url) as client:
            server = psutil.Process(client.info()["process_id"])
        server.suspend()
        try:
            assert refused(ask(http.base_url, 9)) == 0
        finally:
            server.resume()


def test_several_processes_without_a_redis_take_a_part_each(tmp_path: Path) -> None:
    settings = {"FITSERVE_WORKERS": "2", "FITSERVE_MAX_REQUESTS_PER_MINUTE": str(LIMIT)}
    with running_api(tmp_path, settings) as (http, _):
        let_in = 3 * LIMIT - refused(ask(http.base_url, 3 * LIMIT))
    assert LIMIT // 2 <= let_in <= LIMIT


def test_numbers_that_an_operator_sets_hold_within_a_second(tmp_path: Path) -> None:
    with running_api(tmp_path) as (http, _):
        assert refused(ask(http.base_url, 30)) == 0
        printed = workspaces(tmp_path, "quota", "default", "--requests-per-minute", "5", "--stored-bytes", "10")
        wait_until(lambda: http.get("/api/models").status_code == 429, 20, "requests refused")
        assert re.search(r"^REQUESTS PER MINUTE +- +5 +this workspace$", printed, re.MULTILINE)

        workspaces(tmp_path, "quota", "default", "--requests-per-minute", "0")
        wait_until(lambda: http.get("/api/models").status_code == 200, 20, "requests answered")
        refusal = http.post("/api/datasets", json={"name": "d", "x": [[0], [1]], "y": [0, 1]})
        assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "60")
        assert "Quota 'stored_bytes' of this workspace: 0 of 10 bytes are used" in refusal.json()["detail"]


def used(fitserve: Fitserve, name: str) -> int:
    quotas = accepted(fitserve.http.get("/api/usage"))["quotas"]
    return int(next(quota["used"] for quota in quotas if quota["name"] == name))


def test_a_real_fit_counts_its_epochs_times_rows_and_the_bytes_of_its_files(fitserve: Fitserve) -> None:
    dataset = fitserve.upload_digits()
    rows = accepted(fitserve.http.get(f"/api/datasets/{dataset}"))["rows"]
    stored, trained = used(fitserve, "stored_bytes"), used(fitserve, "epoch_rows")
    stop_early = {"type": "EarlyStopping", "monitor": "loss", "min_delta": 1000.0, "patience": 1}
    run_id = fitserve.start(fitserve.create_model(), dataset, {"epochs": 1000, "callbacks": [stop_early]})
    assert used(fitserve, "epoch_rows") == trained + 1000 * rows

    epochs = len(fitserve.metrics(fitserve.succeeded(run_id)["id"])["epoch"])

    assert 1 <= epochs < 10
    assert used(fitserve, "epoch_rows") == trained + epochs * rows
    files = accepted(fitserve.http.get(f"/api/runs/{run_id}/artifacts"))["items"]
    assert used(fitserve, "stored_bytes") == stored + sum(file["size_bytes"] for file in files)
