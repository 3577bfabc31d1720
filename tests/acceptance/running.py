"""A whole Fitserve as real processes: started by ``fitserve up``, stopped as an operator would stop it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from service.infra.migrations import upgrade
from service.settings import Settings
from tests.servers import free_port

EMBEDDED_ONLY = pytest.mark.parametrize("running", ["embedded"], indirect=True)
"""For what neither the database nor the broker takes part in: one stack will do."""
SHORT_TIMES = {
    "FITSERVE_LEASE_SECONDS": "6",
    "FITSERVE_HEARTBEAT_SECONDS": "1",
    "FITSERVE_SWEEP_SECONDS": "0.5",
    "FITSERVE_RETRY_DELAY_SECONDS": "0.2",
}
READY_SECONDS = 60.0
TRAINER_SECONDS = 120.0
STOP_SECONDS = 40.0


def wait_until(is_true: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as ``is_true()``; fail with ``what`` when that does not come to pass in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds: {what}"
        time.sleep(0.05)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with ``extra``, and without settings that a developer has exported."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FITSERVE_")} | dict(extra)


class RunningService:
    """One instance of the service with one slot, on a port of its own."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.log = data_dir.parent / f"{data_dir.name}.log"
        command = [sys.executable, "-m", "service.cli", "up", "--port", str(port), "--data-dir", str(data_dir), "--slots", "1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Return once the API is ready and a trainer has told what it can do."""
        try:
            wait_until(self.is_ready, READY_SECONDS, "ready API")
            wait_until(self.has_trainer, TRAINER_SECONDS, "a worker with a trainer")
        except AssertionError:
            print(self.log.read_text())  # noqa: T201  # pytest shows it beside the failure
            raise

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers with success."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def has_trainer(self) -> bool:
        """Whether a living worker has described its devices."""
        workers = self.http.get("/api/workers").json()["items"]
        return any(worker["is_alive"] and worker["devices"] for worker in workers)

    def api(self) -> psutil.Process:
        """The API process."""
        return self._child("service.cli", "api")

    def worker(self) -> psutil.Process:
        """The worker process."""
        return self._child("service.cli", "worker")

    def trainer(self) -> psutil.Process:
        """The only trainer process."""
        return self._child("service.training")

    def sidecar(self) -> psutil.Process:
        """The process in which the API asks Keras; there is one once a version needs it."""
        return self._child("service.training.sidecar")

    def _child(self, *words: str) -> psutil.Process:
        found = [child for child in self.processes() if set(words) <= set(_command_line(child))]
        assert len(found) == 1, f"one process {words} expected, found {found}"
        return found[0]

    def processes(self) -> list[psutil.Process]:
        """Every living process of this instance below ``fitserve up``."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        """Stop it with SIGTERM; assert that it ends well and leaves no process behind."""
        processes = self.processes() if self.process.poll() is None else []
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
        _, left = psutil.wait_procs(processes, timeout=5)
        for process in left:
            process.kill()
        assert code == 0, self.log.read_text()[-5000:]
        assert left == []


@contextmanager
def running_service(data_dir: Path, settings: Mapping[str, str]) -> Iterator[RunningService]:
    """A whole service that is ready, with a trainer that waits for work; stopped at the end."""
    service = RunningService(data_dir, settings)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


@contextmanager
def running_api(
    data_dir: Path, settings: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """An API without a worker, on a migrated database of its own: a client of it, and its process. ``log`` gets its lines."""
    port, variables = free_port(), environment(settings or {})
    command = [sys.executable, "-m", "service.cli", "api", "--port", str(port), "--data-dir", str(data_dir)]
    data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(Settings(data_dir=data_dir, database_url=variables.get("FITSERVE_DATABASE_URL", "")))
    with (log or Path(os.devnull)).open("ab") as file:
        stderr = None if log is None else file
        process = subprocess.Popen(command, env=variables, stderr=stderr)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        try:
            wait_until(lambda: _answers(http), READY_SECONDS, "ready API")
            yield http, psutil.Process(process.pid)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/livez").is_success
    except httpx.TransportError:
        return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []
