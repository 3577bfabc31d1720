"""Several APIs and workers as real processes, which are started again whenever they die."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.settings import Settings
from tests.acceptance.running import environment, wait_until
from tests.servers import free_port, redis_binary, wait_for_redis

REPOSITORY = Path(__file__).parents[2]
LEASE_SECONDS = 2.0
SHORT_TIMES = {
    "FITSERVE_LEASE_SECONDS": str(LEASE_SECONDS),
    "FITSERVE_HEARTBEAT_SECONDS": "0.4",
    "FITSERVE_SWEEP_SECONDS": "0.3",
    "FITSERVE_RETRY_DELAY_SECONDS": "0.1",
    "FITSERVE_MAX_ATTEMPTS": "50",
    "FITSERVE_DRAIN_SECONDS": "0.3",
    "FITSERVE_SHUTDOWN_GRACE_SECONDS": "5",
    "FITSERVE_LOG_FORMAT": "json",
}
LIGHT = {"FITSERVE_TRAINER_MODULE": "tests.fakes.light_trainer"}
PATIENCE_SECONDS = 90.0


class Redis:
    """A Redis server that can be killed and comes back on the same port, empty."""

    def __init__(self, folder: Path) -> None:
        self._port, self._log = free_port(), (folder / "redis.log").open("ab")
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._command = [redis_binary(), "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)
        wait_for_redis(self.url, self._process)

    def kill(self) -> None:
        """Kill it; ``start`` brings it back."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Stop it for good."""
        self.kill()
        self._log.close()


@dataclass
class Member:
    """One process of the cluster."""

    role: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    pids: list[int] = field(default_factory=list)


class Cluster:
    """``apis`` and ``workers`` on one database and broker, each started again when it ends until ``close``."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str], apis: int = 1, workers: int = 2, *, with_points: bool = False
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._environment = environment(
            SHORT_TIMES
            | dict(settings)
            | {"FITSERVE_DATA_DIR": str(self.data_dir), "PYTHONPATH": str(REPOSITORY), "CHAOS_FOLDER": str(folder)}
        )
        self._program = [str(Path(__file__).parent / "points.py")] if with_points else ["-m", "service.cli"]
        self._log = (folder / "cluster.log").open("ab")
        subprocess.run(self._command("migrate"), env=self._environment, check=True, timeout=60, stdout=self._log)
        self.ports = [free_port() for _ in range(apis)]
        self.members = [Member("api", self._command("api", "--port", str(port))) for port in self.ports]
        self.members += [Member("worker", self._command("worker")) for _ in range(workers)]
        self._is_closing = False
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def settings(self) -> Settings:
        """What the processes are set to."""
        given = {name.removeprefix("FITSERVE_").lower(): value for name, value in self._environment.items()}
        return Settings(**{name: value for name, value in given.items() if name in Settings.model_fields})

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, *self._program, *arguments]

    def _keep(self) -> None:
        while not self._is_closing:
            for member in self.members:
                if member.process is None or member.process.poll() is not None:
                    member.process = subprocess.Popen(
                        member.command, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
                    )
                    member.pids.append(member.process.pid)
            time.sleep(0.05)

    def processes(self, role: str) -> list[psutil.Process]:
        """The living processes of a role: ``api``, ``worker`` or ``trainer``."""
        if role == "trainer":
            return [child for worker in self.processes("worker") for child in _children(worker)]
        found = []
        for member in self.members:
            with suppress(psutil.NoSuchProcess):  # it may end at any moment
                if member.role == role and member.process is not None and member.process.poll() is None:
                    found.append(psutil.Process(member.process.pid))
        return found

    def wait_until_ready(self) -> None:
        """Return once every API answers and a worker is there for runs."""
        wait_until(lambda: all(self._is_ready(port) for port in self.ports), 60, "ready APIs")

    def _is_ready(self, port: int) -> bool:
        try:
            workers = httpx.get(f"http://127.0.0.1:{port}/api/workers", trust_env=False).json()["items"]
        except (httpx.TransportError, ValueError, KeyError):
            return False
        return any(worker["is_alive"] and worker["devices"] for worker in workers)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """What a patient client does: it repeats what got no answer, or was told to come back, at the next API."""
        deadline, attempt = time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            url = f"http://127.0.0.1:{self.ports[attempt % len(self.ports)]}{path}"
            attempt += 1
            with suppress(httpx.TransportError):
                response = httpx.request(method, url, timeout=15, trust_env=False, **arguments)
                is_in_flight = response.status_code == 409 and "right now" in response.text
                if response.status_code not in (429, 500, 503) and not is_in_flight:
                    return response
                assert response.status_code != 500, response.text
            assert time.monotonic() < deadline, f"{method} {path} got no answer"
            time.sleep(0.1)

    def prepare(self) -> dict[str, str]:
        """A dataset and a model; the part of a run's body that names them."""
        rows = [{"x": float(number), "y": number % 2} for number in range(8)]
        dataset = self.request("POST", "/api/datasets", json={"name": "d", "rows": rows}).json()["id"]
        model = {"name": f"m-{uuid.uuid4().hex[:8]}", "definition": {"layers": [{"type": "Dense", "units": 1}]}}
        created = self.request("POST", "/api/models", json=model | {"compile": {"optimizer": "sgd", "loss": "mse"}})
        assert created.status_code == 201, created.text
        return {"model": model["name"], "dataset": dataset, "target": "y"}

    def submit(self, body: Mapping[str, Any]) -> str:
        """Accept a run, once, however often the request has to be repeated; its id."""
        response = self.request("POST", "/api/runs", json=dict(body), headers={"Idempotency-Key": uuid.uuid4().hex})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as it is now."""
        document: dict[str, Any] = self.request("GET", f"/api/runs/{run_id}").json()
        return document

    def wait_for(self, run_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run after its end."""
        deadline = time.monotonic() + seconds
        while (run := self.run(run_id))["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
        return run

    def close(self) -> None:
        """Stop everything; assert that nothing is left."""
        self._is_closing = True
        self._keeper.join()
        processes = [process for role in ("trainer", "worker", "api") for process in self.processes(role)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(processes, timeout=15)
        for process in left:
            process.kill()
        for member in self.members:
            if member.process is not None:
                member.process.wait(10)
        self._log.close()
        assert left == [], "every process ends when it is asked to"


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


@contextmanager
def running_cluster(folder: Path, settings: Mapping[str, str], **sizes: Any) -> Iterator[Cluster]:
    """A cluster for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, settings, **sizes)
    try:
        cluster.wait_until_ready()
        yield cluster
    finally:
        cluster.close()


def kill(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; whether the process was still there."""
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True
