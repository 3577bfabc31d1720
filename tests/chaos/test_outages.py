"""The broker or the database is away for a while: what was accepted goes on, and nothing is half-written."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from tests.acceptance.running import wait_until
from tests.chaos.checker import check
from tests.chaos.cluster import LEASE_SECONDS, LIGHT, Cluster, Redis, kill, running_cluster
from tests.servers import free_port, new_database


class Door:
    """A way to a server that can be shut: connections break off, and new ones are refused."""

    def __init__(self, family: int, address: str | tuple[str, int]) -> None:
        self.port = free_port()
        self._family, self._address = family, address
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(self._family)
                server.connect(self._address)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def shut(self) -> None:
        """Break everything off."""
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    close = shut


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with closing(Redis(tmp_path)) as server:
        yield server


@pytest.fixture
def door(postgres_url: str) -> Iterator[Door]:
    """The way to the PostgreSQL server, whose socket is a file or a port."""
    url = make_url(postgres_url)
    folder = url.query.get("host")
    if folder:
        door = Door(socket.AF_UNIX, f"{folder}/.s.PGSQL.{url.port or 5432}")
    else:
        door = Door(socket.AF_INET, (url.host or "127.0.0.1", url.port or 5432))
    door.open()
    with closing(door):
        yield door


@pytest.fixture
def cluster(postgres_url: str, redis: Redis, door: Door, tmp_path: Path) -> Iterator[Cluster]:
    url = make_url(new_database(postgres_url))
    through_the_door = url.set(host="127.0.0.1", port=door.port).difference_update_query(["host"])
    settings = {
        "FITSERVE_DATABASE_URL": through_the_door.render_as_string(hide_password=False),
        "FITSERVE_BROKER_URL": redis.url,
    }
    with running_cluster(tmp_path / "cluster", LIGHT | settings, apis=1, workers=2) as cluster:
        yield cluster


def start(cluster: Cluster, epochs: int = 30) -> str:
    run_id = cluster.submit(cluster.prepare() | {"fit": {"epochs": epochs, "batch_size": 5}, "seed": 3})
    wait_until(lambda: cluster.run(run_id)["progress"]["epoch"] >= 4, 30, "the fourth epoch")
    return run_id


def test_a_run_is_accepted_and_done_while_the_broker_is_away(cluster: Cluster, redis: Redis) -> None:
    body = cluster.prepare()
    redis.kill()
    began = time.monotonic()
    run_id = cluster.submit(body | {"fit": {"epochs": 2, "batch_size": 1}, "seed": 3})
    assert time.monotonic() - began < 1, "nobody waits for the broker"
    assert cluster.wait_for(run_id)["state"] == "succeeded"
    for worker in cluster.processes("worker"):
        worker.terminate()  # without a broker, too, a worker stops when it is asked to
        worker.wait(10)
    redis.start()
    cluster.wait_until_ready()
    assert cluster.wait_for(cluster.submit(body | {"fit": {"epochs": 2}, "seed": 4}))["state"] == "succeeded"


def test_a_short_outage_of_the_database_is_caught_up_with(cluster: Cluster, door: Door) -> None:
    run_id = start(cluster)
    door.shut()
    url = f"http://127.0.0.1:{cluster.ports[0]}"
    answer = httpx.get(f"{url}/api/runs/{run_id}", timeout=15, trust_env=False)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert httpx.get(f"{url}/livez", timeout=5, trust_env=False).status_code == 200
    assert httpx.get(f"{url}/readyz", timeout=15, trust_env=False).status_code == 503
    time.sleep(0.5)
    door.open()
    run = cluster.wait_for(run_id)
    assert (run["state"], run["attempt"]) == ("succeeded", 1), run
    assert check(cluster.settings, [run_id]).problems == []


def test_a_long_outage_of_the_database_ends_the_attempt_before_the_lease(cluster: Cluster, door: Door) -> None:
    run_id = start(cluster, epochs=100)
    before = {trainer.pid for trainer in cluster.processes("trainer")}
    door.shut()
    time.sleep(LEASE_SECONDS)
    left = {trainer.pid for trainer in cluster.processes("trainer")}
    assert before - left, "the trainer of the run was killed before its lease was over"
    time.sleep(LEASE_SECONDS)
    door.open()
    run = cluster.wait_for(run_id)
    assert run["state"] == "succeeded", run
    assert [attempt["cause"] for attempt in run["attempts"]][-2:] == ["lost_worker", "completed"]
    assert run["attempts"][-1]["from_epoch"] >= 2
    assert check(cluster.settings, [run_id]).problems == []


def test_a_killed_worker_s_run_is_taken_up_soon(cluster: Cluster) -> None:
    run_id = start(cluster, epochs=60)
    owner = cluster.run(run_id)["attempts"][-1]["worker_id"]
    workers = cluster.request("GET", "/api/workers").json()["items"]
    (pid,) = [worker["process_id"] for worker in workers if worker["id"] == owner]
    (process,) = [process for process in cluster.processes("worker") if process.pid == pid]
    began = time.monotonic()
    kill(process)
    wait_until(lambda: cluster.run(run_id)["attempt"] == 2, LEASE_SECONDS + 15, "another attempt")
    print(f"taken up {time.monotonic() - began:.1f} s after the kill, with a lease of {LEASE_SECONDS:g} s")  # noqa: T201
    run = cluster.wait_for(run_id)
    assert (run["state"], run["attempts"][0]["cause"]) == ("succeeded", "lost_worker")
