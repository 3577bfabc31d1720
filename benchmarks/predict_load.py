"""One core for the server, another for the client, and wrk between them. Needs Linux."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("predict.lua")
TIMEOUT_SECONDS = 30
IDLE_SECONDS = 0.1
STAT_USER, STAT_SYSTEM = 11, 12  # of the fields behind the name, proc_pid_stat(5)
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Post:
    """A request as it goes out: where, and the file that holds its body."""

    url: str
    body: Path
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Load:
    """What one round of wrk has counted; latencies in milliseconds."""

    requests_per_second: float
    requests_per_cpu_second: float
    """By the processor time of the server: what others on its core take from it does not count."""
    core_share: float
    """Processor time of the server per second."""
    p50: float
    p99: float


def complaint() -> str:
    """One line that says why nothing can be measured here; empty where it can."""
    if shutil.which("wrk") is None:
        return "The benchmark of predictions needs wrk, which is not on the PATH. Install it (Debian: apt-get install wrk)."
    if len(os.sched_getaffinity(0)) < 2:
        return "The benchmark of predictions needs two cores, one for the server and one for the client. Received one."
    return ""


def cores() -> tuple[int, int]:
    """The server's core and the client's: the last one and the first one, which often takes the machine's interrupts."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Within the block this thread has one core, and so have the processes that it starts there, for ever."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def press(post: Post, connections: int, seconds: float, server_pid: int) -> Load:
    """Ask on that many kept connections, each again as soon as it is answered; then wait until the server is idle.

    A server that answers nothing in that time gets twice as much. Raises RuntimeError where a request is refused or breaks.
    """
    began = cpu_seconds(server_pid)
    counted = _wrk(post, connections, seconds)
    used = cpu_seconds(server_pid) - began
    _wait_until_idle(server_pid)
    if counted["refused"] or counted["broken"]:
        raise RuntimeError(f"{post.url} refused {counted['refused']} requests, and {counted['broken']} have broken.")
    if not counted["requests"]:
        return press(post, connections, 2 * seconds, server_pid)
    return _load(counted, used)


def _load(counted: dict[str, int], used_seconds: float) -> Load:
    lasted = counted["microseconds"] / 1e6
    return Load(
        requests_per_second=counted["requests"] / lasted,
        requests_per_cpu_second=counted["requests"] / max(used_seconds, TICK_SECONDS),
        core_share=used_seconds / lasted,
        p50=counted["p50"] / 1000,
        p99=counted["p99"] / 1000,
    )


def _wait_until_idle(pid: int) -> None:
    """Return when the requests that wrk has left unanswered are done: they would slow down who comes next."""
    used = -1.0
    while used != (used := cpu_seconds(pid)):
        time.sleep(IDLE_SECONDS)


def _wrk(post: Post, connections: int, seconds: float) -> dict[str, int]:
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:g}s"]
    command += ["--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT), post.url, str(post.body)]
    command += [f"{name}: {value}" for name, value in post.headers]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 2 * TIMEOUT_SECONDS)
    counted: dict[str, int] = json.loads(ended.stdout.splitlines()[-1])
    return counted


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[STAT_USER]) + int(fields[STAT_SYSTEM])) * TICK_SECONDS


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident memory of a process: all of it, and with shared pages divided among those who share them (RSS, PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (int(re.findall(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)[0]) * 1024 for name in ("Rss", "Pss"))
    return rss, pss
