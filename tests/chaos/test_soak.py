"""Many short runs while everything is killed, frozen and emptied: none is lost, none is done twice, none is stuck."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.infra.database import Database, make_engine
from tests.chaos.checker import check, count_stuck
from tests.chaos.cluster import LEASE_SECONDS, LIGHT, Cluster, running_cluster
from tests.chaos.conftest import RUNS, SEED, Stack
from tests.chaos.nemesis import Nemesis

SHORT_RUNS = 40
CLIENTS = 4
AFTERWARDS_SECONDS = 120.0


def submit_and_cancel(cluster: Cluster, body: dict[str, object], number: int) -> str:
    """One client's part: a run, which in some cases is cancelled soon after."""
    choice = random.Random(SEED * 100_000 + number)
    fit = {"epochs": choice.randint(3, 16), "batch_size": choice.randint(2, 6)}
    run_id = cluster.submit(body | {"fit": fit, "seed": number, "priority": choice.randint(-2, 2)})
    if choice.random() < 0.1:
        time.sleep(choice.uniform(0, 1))
        keep = choice.choice(["none", "last", "best"])
        assert cluster.request("POST", f"/api/runs/{run_id}:cancel", json={"keep": keep}).status_code in (202, 409)
    return run_id


def look_for_stuck_runs(cluster: Cluster, stuck: list[int], is_over: threading.Event) -> None:
    """Until the end, note how many runs are running long after their lease."""
    database = Database(make_engine(cluster.settings))
    while not is_over.wait(LEASE_SECONDS):
        stuck.append(count_stuck(cluster.settings, database))
    database.close()


@pytest.mark.timeout(3600 if RUNS else 300)
def test_nothing_is_lost_done_twice_or_stuck(stack: Stack, tmp_path: Path, show: list[str]) -> None:
    runs, began = RUNS or SHORT_RUNS, time.monotonic()
    with running_cluster(tmp_path / "cluster", LIGHT | stack.settings, apis=2, workers=3) as cluster:
        body = cluster.prepare()
        nemesis, stuck, is_over = Nemesis(cluster, stack.broker, SEED), list[int](), threading.Event()
        watcher = threading.Thread(target=look_for_stuck_runs, args=(cluster, stuck, is_over))
        for thread in (nemesis, watcher):
            thread.start()
        with ThreadPoolExecutor(CLIENTS) as clients:
            accepted = list(clients.map(lambda number: submit_and_cancel(cluster, body, number), range(runs)))
        if not RUNS:
            time.sleep(15)
        while RUNS and cluster.request("GET", "/api/runs", params={"state": "queued"}).json()["items"]:
            time.sleep(1)
        nemesis.stop()
        deadline = time.monotonic() + AFTERWARDS_SECONDS
        for run_id in accepted:
            cluster.wait_for(run_id, deadline - time.monotonic())
        is_over.set()
        watcher.join()
        history = check(cluster.settings, accepted)
    show += [
        f"{stack.name}: {history.runs} runs in {time.monotonic() - began:.0f} s, seed {SEED}",
        f"  evil:   {', '.join(f'{count} × {name}' for name, count in sorted(nemesis.deeds.items()))}",
        f"  states: {dict(history.states)}",
        f"  causes: {dict(history.causes)}",
        f"  problems: {len(history.problems)}, stuck long after their lease: {sum(stuck)}",
    ]
    assert history.problems == []
    assert sum(stuck) == 0
    assert sum(nemesis.deeds.values()) > 0
    assert len(set(accepted)) == runs
