"""How soon a run shows its first epoch, beside a bare Keras script that does the same in a process of its own.

Starts a service of its own in a temporary folder on a free port. Prints medians; times are in seconds, memory in MB.
Reads /proc, so it needs Linux.
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from service.cli.demo import FIT, MODEL

DIGITS = Path(__file__).parents[1] / "examples" / "digits_0_1.csv"
RUNS = 5
SCRIPT_RUNS = 3
POLL_SECONDS = 0.005
DEADLINE_SECONDS = 120.0
LOG_END_CHARACTERS = 2000
TERMINAL = ("succeeded", "failed", "cancelled")
SCRIPT = f"""
import keras, numpy
from keras import layers

class Report(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            print("epoch", flush=True)

table = numpy.loadtxt({str(DIGITS)!r}, delimiter=",", skiprows=1, dtype="float32")
x, y = table[:, :-1], table[:, -1:]
mean, std = x[:288].mean(0), x[:288].std(0)
x = numpy.divide(x - mean, std, out=numpy.zeros_like(x), where=std > 0)
keras.utils.set_random_seed(1)
model = keras.Sequential([
    layers.Dense(25, activation="sigmoid"),
    layers.Dense(15, activation="sigmoid"),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.SGD(0.5), metrics=["accuracy"])
model.fit(x, y, epochs=20, batch_size=16, validation_split=0.2, callbacks=[Report()], verbose=0)
"""


def main() -> None:
    """Measure everything, one after the other, and print it."""
    with tempfile.TemporaryDirectory() as folder:
        with fitserve("up", folder) as (_, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            service = measure_runs(client)
        start, memory = measure_api(folder)
    script = [measure_script() for _ in range(SCRIPT_RUNS)]
    show(service, script, start, memory)


def measure_runs(client: httpx.Client) -> list[float]:
    """Seconds from asking for a run to its first epoch, on a worker that is warm."""
    dataset = upload(client)
    call(client, "POST", "/api/models", json=MODEL)
    first_epoch(client, dataset)  # the first run waits for TensorFlow
    return [first_epoch(client, dataset) for _ in range(RUNS)]


def upload(client: httpx.Client) -> str:
    """The id of the digits as a dataset."""
    with DIGITS.open("rb") as file:
        files = {"file": (DIGITS.name, file, "text/csv")}
        data = {"name": "digits_0_1", "target": "digit"}
        return str(call(client, "POST", "/api/datasets", files=files, data=data)["id"])


def first_epoch(client: httpx.Client, dataset: str) -> float:
    """Run to the end; the seconds until the first epoch could be read."""
    begun = time.monotonic()
    run = call(client, "POST", "/api/runs", json={"model": "my_model", "dataset": dataset, "fit": FIT, "seed": 1})["id"]
    wait_for(lambda: bool(call(client, "GET", f"/api/runs/{run}/metrics")["epoch"]))
    seconds = time.monotonic() - begun
    wait_for(lambda: call(client, "GET", f"/api/runs/{run}")["state"] in TERMINAL)
    return seconds


def measure_api(folder: str) -> tuple[float, float]:
    """Seconds until a fresh API process is ready, and its resident memory in MB."""
    begun = time.monotonic()
    with fitserve("api", folder) as (process, _):
        return time.monotonic() - begun, resident_megabytes(process.pid)


def measure_script() -> float:
    """Seconds from starting the bare script to the end of its first epoch."""
    begun = time.monotonic()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline() == b"epoch\n"
        return time.monotonic() - begun


@contextmanager
def fitserve(role: str, folder: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process of that role and its address, once it is ready; stopped at the end."""
    log = Path(folder) / f"{role}.log"
    command = [sys.executable, "-m", "service.cli", role, "--port", "0", "--data-dir", f"{folder}/data"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            url = ready_url(process, log)
            yield process, url
        finally:
            process.send_signal(signal.SIGTERM)


def ready_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address in a log, once it answers. Raises RuntimeError with the log's end where the process has ended instead."""
    found: list[str] = []

    def is_ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"The service ended with {process.returncode}.\n{log.read_text()[-LOG_END_CHARACTERS:]}")
        found[:] = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text())
        return bool(found) and answers(f"{found[0]}/readyz")

    wait_for(is_ready)
    return found[0]


def answers(url: str) -> bool:
    """Whether a GET of the address succeeds."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def call(client: httpx.Client, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """The document that a request was answered with."""
    response = client.request(method, path, **arguments)
    response.raise_for_status()
    document: dict[str, Any] = response.json()
    return document


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"It took more than {DEADLINE_SECONDS:.0f} seconds.")
        time.sleep(POLL_SECONDS)


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def show(service: list[float], script: list[float], start: float, memory: float) -> None:
    """Print the table."""
    median_service, median_script = statistics.median(service), statistics.median(script)
    table = Table("what", "median", "range", "ratio")
    table.add_row("bare script: start to first epoch", f"{median_script:.2f} s", spread(script), "1")
    ratio = f"{median_script / median_service:.0f} times sooner"
    table.add_row("warm worker: request to first epoch", f"{median_service:.3f} s", spread(service), ratio)
    table.add_row("API process: start to ready", f"{start:.2f} s", "", "")
    table.add_row("API process: resident memory", f"{memory:.0f} MB", "", "")
    Console(width=100).print(table)


def spread(values: list[float]) -> str:
    """Smallest and largest value."""
    return f"{min(values):.3f} to {max(values):.3f} s"


if __name__ == "__main__":
    main()
