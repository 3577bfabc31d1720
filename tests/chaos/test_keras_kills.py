"""The same with real fits: trainers with TensorFlow, their workers and the API are killed, and every fit ends as undisturbed."""

import itertools
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import DIGITS, TUTORIAL_COMPILE, TUTORIAL_LAYERS
from tests.acceptance.running import wait_until
from tests.chaos.checker import check
from tests.chaos.cluster import Cluster, kill, running_cluster
from tests.chaos.conftest import RUNS, SEED, Stack

KILLS = 30 if RUNS else 3
EPOCHS = 80
FIT = {"epochs": EPOCHS, "batch_size": 1, "validation_split": 0.2}
NOISY_LAYERS = [TUTORIAL_LAYERS[0], {"type": "Dropout", "rate": 0.3}, *TUTORIAL_LAYERS[1:]]
ROLES = ("trainer", "worker", "api")
TIMES = {"FITSERVE_SNAPSHOT_SECONDS": "0.5"}


def prepare(cluster: Cluster) -> dict[str, Any]:
    """The digits, and the tutorial's model with noise, as part of a run's body."""
    files = {"file": (DIGITS.name, DIGITS.read_bytes(), "text/csv")}
    dataset = cluster.request("POST", "/api/datasets", files=files, data={"target": "digit"}).json()["id"]
    model = {"name": "digits", "definition": {"layers": NOISY_LAYERS}, "compile": TUTORIAL_COMPILE}
    assert cluster.request("POST", "/api/models", json=model).status_code == 201
    return {"model": "digits", "dataset": dataset, "fit": FIT, "seed": 1, "publish": False}


def metrics(cluster: Cluster, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = cluster.request("GET", f"/api/runs/{run_id}/metrics").json()
    return document


@pytest.mark.timeout(2400 if RUNS else 300)
def test_killed_fits_end_with_the_same_numbers_as_an_undisturbed_one(stack: Stack, tmp_path: Path, show: list[str]) -> None:
    if stack.name == "servers" and not RUNS:
        return  # the short form is content with one stack, since every worker loads TensorFlow first
    kills, runs, choice = Counter[str](), [], random.Random(SEED)
    with running_cluster(tmp_path / "cluster", TIMES | stack.settings, apis=1, workers=1) as cluster:
        body = prepare(cluster)
        undisturbed = cluster.submit(body)
        assert cluster.wait_for(undisturbed, 120)["state"] == "succeeded"
        expected = metrics(cluster, undisturbed)
        roles = itertools.cycle(ROLES)
        while kills.total() < KILLS:
            run_id = cluster.submit(body)
            runs.append(run_id)
            for _ in range(min(3, KILLS - kills.total())):
                _wait_until_it_fits(cluster, run_id)
                time.sleep(choice.uniform(0, 0.5))
                role = next(roles)
                kills[role] += _kill_one(cluster, role)
            run = cluster.wait_for(run_id, 120)
            assert run["state"] == "succeeded", run
            assert run["exact"]
            assert metrics(cluster, run_id) == expected
        history = check(cluster.settings, runs, is_light=False)
    show.append(f"{stack.name}: {dict(kills)} kills of real processes, {len(runs)} fits, causes {dict(history.causes)}")
    assert history.problems == []


def _wait_until_it_fits(cluster: Cluster, run_id: str) -> None:
    def fits() -> bool:
        run = cluster.run(run_id)
        assert run["state"] in ("queued", "running"), f"a kill came too late: {run}"
        return run["state"] == "running" and run["phase"] == "fitting"

    wait_until(fits, 90, "a trainer that fits")


def _kill_one(cluster: Cluster, role: str) -> bool:
    processes = cluster.processes(role)
    return bool(processes) and kill(processes[0])
