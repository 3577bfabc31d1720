"""What the service does when ten times as much is asked of it as it can answer, and how soon it is itself again.

    PYTHONPATH=. python benchmarks/overload.py [--only heavy,short] [--seconds 15] [--times 10] [--markdown]

One API process has one core, the client another. For each kind of request: the sustainable rate, which is what 16 clients get
that ask again as soon as they are answered; the unloaded p99, at a quarter of that; then ten times the sustainable rate, the
first second of which is told apart; and the quarter again. Requests come at random times that were fixed before (a Poisson
process), and latencies count from these. Two hyperthreads cannot ask ten times of the shortest predictions (9,000/s): the
kinds are such that the client can, and *offered* is what it has really sent. Everything stays on this machine and ends by
itself. Needs Linux.
"""

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson
import typer
from first_epoch import call, fitserve
from fit_cases import Array
from overload_client import Answers, arrivals, offer, saturate
from predict_load import cores, memory_bytes, on_core
from predict_models import SMALL, WIDE, kept_models
from rich.console import Console
from rich.table import Table

CLIENTS = 16
UNLOADED = 0.25
"""Share of the sustainable rate at which nothing waits."""
UNLOADED_SECONDS = 6.0
SATURATE_SECONDS = 3.0
WINDOW_SECONDS = 0.5
GOAL = 5.0
"""How many times the unloaded p99 the p99 of accepted predictions may be."""
RECOVERED = 2.0
"""As many times the unloaded p99 is a window's p99 as before."""
SAMPLE_SECONDS = 0.1
ONSET_SECONDS = 1.0
"""In which hundreds of clients connect, and the service learns that it is too much."""
MILLISECONDS = 1000
MEGABYTE = 1e6

console = Console(width=170, highlight=False)


@dataclass(frozen=True)
class Measured:
    """One kind of request under load; rates per second, latencies in milliseconds, memory in bytes."""

    kind: str
    sustainable: float
    offered: float
    late_p99: float
    """How late the client was with sending."""
    per_second: dict[str, float]
    """Answers by status class: ``2xx``, ``429``, ``503``, ``other``."""
    unloaded: tuple[float, float]
    accepted: tuple[float, float]
    """Under load, but for the onset."""
    accepted_since_sent: float
    """p99 under load but for the onset, without what the client was late."""
    accepted_at_onset: float
    """p99 of the onset."""
    memory: tuple[int, int, int]
    recovery_seconds: float

    @property
    def ratio(self) -> float:
        """p99 under load beside the unloaded one."""
        return self.accepted[1] / self.unloaded[1]


def main(
    only: Annotated[str, typer.Option(help="Kinds, with commas.")] = "heavy,short,read,create",
    seconds: Annotated[float, typer.Option(help="Length of the overload.")] = 15.0,
    times: Annotated[float, typer.Option(help="How many times the sustainable rate is offered.")] = 10.0,
    markdown: Annotated[bool, typer.Option(help="Print the table for the documentation, too.")] = False,
) -> None:
    """Measure and print a table; 1 where something else than 2xx, 429 or 503 came back."""
    found = []
    for name in only.split(","):
        with tempfile.TemporaryDirectory(prefix="fitserve-bench-") as folder:
            shutil.copytree(kept_models() / "data", Path(folder) / "data")
            with on_core(cores()[0]):
                service = fitserve("api", folder)
                process, url = service.__enter__()
            try:
                with on_core(cores()[1]):
                    found.append(measure(KINDS[name](url), url, process.pid, seconds, times))
            finally:
                service.__exit__(None, None, None)
    show(found)
    if markdown:
        print(as_markdown(found))
    sys.exit(any(one.per_second["other"] for one in found))


def measure(kind: "Kind", url: str, pid: int, seconds: float, times: float) -> Measured:
    """All phases, one after the other."""
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 0
    sustainable = saturate(host, port, kind.request, CLIENTS, SATURATE_SECONDS)
    calm = UNLOADED * sustainable
    unloaded = offer(host, port, kind.request, arrivals(calm, UNLOADED_SECONDS, seed=1))
    before = memory_bytes(pid)[0]
    with Memory(pid) as memory:
        loaded = offer(host, port, kind.request, arrivals(times * sustainable, seconds, seed=2))
    after = offer(host, port, kind.request, arrivals(calm, UNLOADED_SECONDS, seed=3))
    limit = RECOVERED * percentile(unloaded, 99)
    is_onset = loaded.planned < ONSET_SECONDS
    return Measured(
        kind.title,
        sustainable,
        float(np.isfinite(loaded.sent).sum() / loaded.planned[-1]),
        MILLISECONDS * float(np.percentile(loaded.lateness(), 99)),
        rates(loaded),
        (percentile(unloaded, 50), percentile(unloaded, 99)),
        (percentile(loaded, 50, ~is_onset), percentile(loaded, 99, ~is_onset)),
        percentile(loaded, 99, ~is_onset, loaded.sent),
        percentile(loaded, 99, is_onset),
        (before, memory.most, memory_bytes(pid)[0]),
        recovery_seconds(after, limit),
    )


@dataclass(frozen=True)
class Kind:
    """What is asked."""

    title: str
    request: bytes


def request_of(method: str, path: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def heavy(url: str) -> Kind:
    """A prediction in a thread: 64 images of black and white pixels, as JSON of 100 kB."""
    pixels = (WIDE.rows(64) > 0).astype(int).tolist()
    body = orjson.dumps({"instances": pixels})
    return Kind(f"{WIDE.title}, 64 rows (100 kB)", request_of("POST", f"/v1/models/{WIDE.name}:predict", body))


def short(url: str) -> Kind:
    """A prediction in the event loop: rows of the small model, in the native protocol."""
    body = orjson.dumps({"rows": SMALL.rows(1000).round(2).astype(float).tolist()})
    return Kind(f"{SMALL.title}, 1,000 rows", request_of("POST", f"/api/models/{SMALL.name}:predict", body))


def read(url: str) -> Kind:
    """The first page of runs."""
    return Kind("GET /api/runs", request_of("GET", "/api/runs"))


def create(url: str) -> Kind:
    """A run that waits, since there is no worker."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        dataset = call(client, "GET", "/api/datasets")["items"][-1]
    body = orjson.dumps({"model": SMALL.name, "dataset": dataset["id"], "fit": {"epochs": 1}})
    return Kind("POST /api/runs", request_of("POST", "/api/runs", body))


KINDS: dict[str, Callable[[str], Kind]] = {"heavy": heavy, "short": short, "read": read, "create": create}


class Memory:
    """Looks at the resident memory of a process again and again while the block lasts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.is_set():
            self.most = max(self.most, memory_bytes(self._pid)[0])
            time.sleep(SAMPLE_SECONDS)


def rates(answers: Answers) -> dict[str, float]:
    """Answers per second by what they are."""
    lasted, status = answers.planned[-1], answers.status
    is_known = answers.is_accepted | (status == 429) | (status == 503)
    masks = {"2xx": answers.is_accepted, "429": status == 429, "503": status == 503, "other": ~is_known}
    return {name: float(mask.sum() / lasted) for name, mask in masks.items()}


def percentile(answers: Answers, share: float, chosen: Array | None = None, since: Array | None = None) -> float:
    """Of the latencies of accepted requests, in milliseconds; ``since``: the times that they count from, if not as planned."""
    latencies = answers.latencies(chosen, since)
    return MILLISECONDS * float(np.percentile(latencies, share)) if len(latencies) else float("inf")


def recovery_seconds(answers: Answers, limit: float) -> float:
    """End of the first window in which everything was accepted, with a p99 within the limit; infinite where there is none."""
    for begin in np.arange(0, answers.planned[-1] - WINDOW_SECONDS, WINDOW_SECONDS):
        window = (answers.planned >= begin) & (answers.planned < begin + WINDOW_SECONDS)
        if answers.is_accepted[window].all() and percentile(answers, 99, window) <= limit:
            return float(begin + WINDOW_SECONDS)
    return float("inf")


COLUMNS = (
    "what", "sustainable/s", "offered/s", "2xx/s", "429/s", "503/s", "other/s", "unloaded p50 / p99 ms", "accepted p50 / p99 ms",
    "p99 ratio", "since sent, p99 ms", "accepted in the first second, p99 ms", "RSS MB before / most / after",
    "as before after s", "sent late by, p99 ms",
)  # fmt: skip


def cells(one: Measured) -> list[str]:
    """A line of the table."""
    return [
        one.kind,
        f"{one.sustainable:,.0f}",
        f"{one.offered:,.0f}",
        *(f"{rate:,.0f}" if rate >= 1 or not rate else f"{rate:.2f}" for rate in one.per_second.values()),
        f"{one.unloaded[0]:.1f} / {one.unloaded[1]:.1f}",
        f"{one.accepted[0]:.1f} / {one.accepted[1]:.1f}",
        f"{one.ratio:.1f}",
        f"{one.accepted_since_sent:.1f}",
        f"{one.accepted_at_onset:.0f}",
        " / ".join(f"{size / MEGABYTE:.0f}" for size in one.memory),
        f"≤ {one.recovery_seconds:.1f}",
        f"{one.late_p99:.1f}",
    ]


def show(found: list[Measured]) -> None:
    """Print what was found."""
    table = Table(title=f"Under too much load (goals: no others, p99 at most {GOAL:g} times the unloaded one for predictions)")
    for place, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if place else "left")
    for one in found:
        table.add_row(*cells(one))
    console.print(table)


def as_markdown(found: list[Measured]) -> str:
    """The table for the documentation."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    typer.run(main)
