"""What an upload costs: a generated CSV goes over HTTP into an API of its own; MB/s, and the memory of both processes.

Linux only. Usage: ``python benchmarks/imports.py [--megabytes 1000]``.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
from rich.console import Console
from rich.table import Table

from tests.acceptance.running import environment, wait_until
from tests.servers import free_port

BLOCK_ROWS = 100_000
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
COLOURS = np.array(["red", "green", "blue", "yellow"])
MEBIBYTE = 1024**2


def main() -> None:
    """Measure one upload and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    megabytes = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory(prefix="fitserve-bench-") as folder:
        path = Path(folder, "generated.csv")
        generate(path, megabytes * 1_000_000)
        with running_api(Path(folder)) as (url, api), PeakMemory(api) as memory:
            started = api.memory_info().rss
            upload(url, path.with_name("generated.csv"), b"a,b\n1,2\n")  # so that everything is loaded that will be
            warm = api.memory_info().rss
            began, worked = time.perf_counter(), cpu_seconds(api)
            dataset = upload(url, path)
            seconds, worked = time.perf_counter() - began, cpu_seconds(api) - worked
        show(path.stat().st_size, (seconds, worked), dataset, (started, warm), memory)


def generate(path: Path, size_bytes: int) -> None:
    """Write a CSV of numbers, integers, categories, texts, dates and booleans; no two blocks are the same."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        start = 0
        while file.tell() < size_bytes:
            options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="needed")
            pa.csv.write_csv(pa.table(_columns(rng, start)), file, options)
            start += BLOCK_ROWS


def _columns(rng: np.random.Generator, start: int) -> dict[str, Any]:
    numbers = {f"number_{n}": rng.normal(size=BLOCK_ROWS).round(6) for n in range(6)}
    days = np.datetime64("2020-01-01") + rng.integers(0, 2000, BLOCK_ROWS).astype("timedelta64[D]")
    return {
        "id": np.arange(start, start + BLOCK_ROWS),
        **numbers,
        "count": rng.integers(0, 100_000, BLOCK_ROWS),
        "colour": COLOURS[rng.integers(0, 4, BLOCK_ROWS)],
        "code": np.char.add("code-", rng.integers(0, 10_000_000, BLOCK_ROWS).astype(str)),
        "day": days.astype("datetime64[D]"),
        "flag": rng.random(BLOCK_ROWS) > 0.5,
    }


@contextmanager
def running_api(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """An API on a database of its own: its address and its process."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = environment({"FITSERVE_DATA_DIR": str(folder / "data"), "FITSERVE_PORT": str(port)})
    command = [sys.executable, "-m", "service.cli"]
    subprocess.run([*command, "migrate"], env=settings, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen([*command, "api"], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_up(url), 60, "a ready API")
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.TransportError:
        return False


def upload(url: str, path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Send a file, or these bytes under its name; the dataset."""
    with path.open("rb") as file:
        files = {"file": (path.name, file if content is None else content)}
        response = httpx.post(f"{url}/api/datasets", files=files, timeout=600, trust_env=False)
    dataset: dict[str, Any] = response.raise_for_status().json()
    return dataset


class PeakMemory(threading.Thread):
    """Looks at the peak resident memory of a process and of its children until the block ends."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.parent_bytes = self.child_bytes = 0
        self._process = process
        self._ended = threading.Event()

    def __enter__(self) -> "PeakMemory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look again and again."""
        while not self._ended.wait(0.05):
            self.parent_bytes = max(self.parent_bytes, peak_bytes(self._process.pid))
            children = [peak_bytes(child.pid) for child in self._process.children()]
            self.child_bytes = max([self.child_bytes, *children])


def peak_bytes(pid: int) -> int:
    """The largest resident set that a process has had; 0 when it is gone. Source: proc_pid_status(5), VmHWM."""
    try:
        found = PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process and of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def show(
    size_bytes: int, seconds: tuple[float, float], dataset: dict[str, Any], api_bytes: tuple[int, int], memory: PeakMemory
) -> None:
    """Print what was measured."""
    wall, worked = seconds
    api = (*api_bytes, memory.parent_bytes)
    table = Table(title="Import of a CSV over HTTP")
    table.add_column("what")
    table.add_column("is", justify="right")
    table.add_row("file", f"{size_bytes / 1e6:.0f} MB, {dataset['rows']} rows, {len(dataset['columns'])} columns")
    table.add_row("stored", f"{dataset['size_bytes'] / 1e6:.0f} MB of Parquet")
    table.add_row("upload, parsing and storing", f"{wall:.1f} s, {size_bytes / 1e6 / wall:.0f} MB/s")
    table.add_row("processor time of both processes", f"{worked:.1f} s, {size_bytes / 1e6 / worked:.0f} MB/s")
    table.add_row("API: started, after a small upload, peak", " / ".join(map(_mib, api)))
    table.add_row("peak of the reading process", _mib(memory.child_bytes))
    Console().print(table)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.0f} MiB"


if __name__ == "__main__":
    main()
