"""A process is killed right before and right after every commit, rename and message on a run's path; every run ends right.

The points are found by watching real runs (``points.py``), and compared with the list below, so that a new commit on the
path has to be added here. Then each of them is met by a real SIGKILL.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.running import wait_until
from tests.chaos.checker import check
from tests.chaos.cluster import LIGHT, Cluster, kill, running_cluster
from tests.chaos.conftest import RUNS, SEED, Stack

FIT = {"epochs": 6, "batch_size": 4}
SHARE_OF_THE_SHORT_FORM = {"embedded": 3, "servers": 6}
"""The suite takes every third or sixth point of a stack, ``make chaos`` takes all."""
Drive = Callable[["Story"], str]

ACCEPTING = ["api: {} commit in request", "api: {} send in queue.CeleryDoorbell._send"]
FITTING = [
    "worker: {} commit in attempts.claim",
    "worker: {} commit in attempts.record",
    "worker: {} rename in artifacts.LocalArtifactStore._bring_in",
    "worker: {} commit in attempts.complete",
    "worker: {} commit in workers.beat",
]
EXPECTED: dict[str, list[str]] = {
    "finished": [*ACCEPTING, *FITTING],
    "trainer killed": ["worker: {} commit in attempts.fail"],
    "worker killed": ["any: {} commit in sweeper.sweep"],
    "worker asked to stop": [
        "worker: {} commit in attempts.release",
        "worker: {} commit in workers.say_goodbye",
        "worker: {} send in queue.CeleryDoorbell._send",
    ],
    "cancelled": ["api: {} commit in request", "worker: {} commit in attempts.complete"],
}
FOLDER_AS_BROKER = ["api: {} rename in queue.AtomicChannel._put", "worker: {} rename in app.run_worker"]
"""A message is written, and read by a worker's Celery."""
STARTING = ["worker: {} commit in workers.announce", "worker: {} commit in workers.describe"]
"""A process that dies here has not begun with runs."""
BESIDE = [
    "api: {} commit in endpoints._create",
    "api: {} rename in artifacts.LocalArtifactStore._bring_in",
    "worker: {} rename in queue.AtomicChannel._put",
]
"""Of uploads, and of rings of a sweeper that happens to be quicker."""


def all_points(stack: str) -> list[tuple[str, str]]:
    """Pairs of a story and a point of it."""
    points = {story: list(names) for story, names in EXPECTED.items()}
    if stack == "embedded":
        points["finished"] += FOLDER_AS_BROKER
    return [(story, name.format(when)) for story, names in points.items() for name in names for when in ("before", "after")]


class Story:
    """One run that goes the way that leads by a point."""

    def __init__(self, cluster: Cluster, body: dict[str, Any]) -> None:
        self.cluster = cluster
        self._body = body

    def arm(self, point: str) -> None:
        """The next process that comes by this point is killed."""
        (self.cluster.folder / "next").write_text(point)
        (self.cluster.folder / "next").replace(self.cluster.folder / "armed")

    def disarm(self) -> bool:
        """Whether nobody had come by."""
        try:
            (self.cluster.folder / "armed").unlink()
        except FileNotFoundError:
            return False
        return True

    def submit(self, **fit: int) -> str:
        return self.cluster.submit(self._body | {"fit": FIT | fit, "seed": random.randrange(1000)})

    def wait_for_epoch(self, run_id: str) -> None:
        def has_begun() -> bool:
            run = self.cluster.run(run_id)
            assert run["state"] not in ("succeeded", "failed"), run
            return run["progress"]["epoch"] >= 2

        wait_until(has_begun, 30, "the second epoch")

    def owner(self, run_id: str) -> psutil.Process | None:
        """The worker process that does the run."""
        attempts = self.cluster.run(run_id)["attempts"]
        workers = self.cluster.request("GET", "/api/workers").json()["items"]
        pids = [worker["process_id"] for worker in workers if worker["id"] == attempts[-1]["worker_id"]]
        return next((process for process in self.cluster.processes("worker") if process.pid in pids), None)


def finish(story: Story, point: str) -> str:
    story.arm(point)
    return story.submit()


def lose_trainer(story: Story, point: str) -> str:
    run_id = story.submit(epochs=12)
    story.wait_for_epoch(run_id)
    story.arm(point)
    worker = story.owner(run_id)
    for trainer in worker.children() if worker is not None else []:
        kill(trainer)
    return run_id


def lose_worker(story: Story, point: str) -> str:
    return _signal_worker(story, point, signal.SIGKILL)


def stop_worker(story: Story, point: str) -> str:
    return _signal_worker(story, point, signal.SIGTERM)


def _signal_worker(story: Story, point: str, number: signal.Signals) -> str:
    run_id = story.submit(epochs=12)
    story.wait_for_epoch(run_id)
    story.arm(point)
    if (worker := story.owner(run_id)) is not None:
        kill(worker, number)
    return run_id


def cancel(story: Story, point: str) -> str:
    run_id = story.submit(epochs=200)
    story.wait_for_epoch(run_id)
    story.arm(point)
    response = story.cluster.request("POST", f"/api/runs/{run_id}:cancel", json={"keep": "last"})
    assert response.status_code in (202, 409), response.text
    return run_id


STORIES: dict[str, Callable[[Story, str], str]] = {
    "finished": finish,
    "trainer killed": lose_trainer,
    "worker killed": lose_worker,
    "worker asked to stop": stop_worker,
    "cancelled": cancel,
}


@pytest.fixture
def cluster(stack: Stack, tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "cluster", LIGHT | stack.settings, apis=1, workers=2, with_points=True) as cluster:
        yield cluster


@pytest.mark.timeout(1800 if RUNS else 400)
def test_a_run_survives_a_kill_at_every_point_of_its_path(stack: Stack, cluster: Cluster, show: list[str]) -> None:
    story, accepted = Story(cluster, cluster.prepare()), []
    for drive in STORIES.values():
        run_id = drive(story, "none")
        story.disarm()
        accepted.append(run_id)
        cluster.wait_for(run_id)
    _assert_all_points_are_listed(cluster, stack.name)

    points = all_points(stack.name)
    random.Random(SEED).shuffle(points)
    if not RUNS:
        points = points[:: SHARE_OF_THE_SHORT_FORM[stack.name]]
    survived = 0
    for name, point in points:
        began = time.monotonic()
        run_id, was_met = _meet(story, name, point, accepted)
        run = cluster.wait_for(run_id)
        is_right = was_met and run["state"] == ("cancelled" if name == "cancelled" else "succeeded")
        survived += is_right
        result = "ok" if is_right else f"NOT RIGHT ({'met' if was_met else 'never met'}, {run['state']})"
        show.append(f"  {point:62} {name:22} {result:4} {time.monotonic() - began:5.1f} s, {run['attempt']} attempt(s)")
        cluster.wait_until_ready()
    show.insert(0, f"{stack.name}: {survived}/{len(points)} points, seed {SEED}")
    assert survived == len(points), "\n".join(show)
    assert check(cluster.settings, accepted).problems == []


def _meet(story: Story, name: str, point: str, accepted: list[str]) -> tuple[str, bool]:
    """Drive a run by the point until a process was killed there; a race with a second process may take another run."""
    for _ in range(4):
        run_id = STORIES[name](story, point)
        accepted.append(run_id)
        story.cluster.wait_for(run_id)
        deadline = time.monotonic() + 3
        while (story.cluster.folder / "armed").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not story.disarm():
            return run_id, True
    return run_id, False


def _assert_all_points_are_listed(cluster: Cluster, stack: str) -> None:
    seen = set((cluster.folder / "seen").read_text().splitlines())
    beside = {point.format(when) for point in (*STARTING, *BESIDE) for when in ("before", "after")}
    seen = {"any: " + point.partition(": ")[2] if "sweeper.sweep" in point else point for point in seen}
    new = {point for point in seen if not point.startswith("migrate")} - {point for _, point in all_points(stack)} - beside
    assert not new, f"new points on a run's path: {sorted(new)}"
