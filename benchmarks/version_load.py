"""What loading a large version costs the one that answers: latencies under steady load, before and during the load.

    PYTHONPATH=. python benchmarks/version_load.py [--switches 6] [--seconds 5]

An alias moves from a version of a few hundred parameters to one of 45 million and back. Its old version answers 200
requests a second meanwhile; the cache is so small that each move loads a file anew.
"""

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from first_epoch import call, fitserve
from rich.console import Console
from rich.table import Table

MODEL = "switched"
COLUMNS = 8
SMALL = [{"type": "Dense", "units": 15, "activation": "relu"}, {"type": "Dense", "units": 1}]
LARGE = [*({"type": "Dense", "units": 3000, "activation": "relu"} for _ in range(6)), {"type": "Dense", "units": 1}]
COMPILE = {"optimizer": "sgd", "loss": "MeanSquaredError"}
REQUESTS_PER_SECOND = 200
LARGE_VERSION, SMALL_VERSION = 1, 2
GOAL = 2.0
MILLISECONDS = 1000


@dataclass
class Latencies:
    """Seconds of answers of the small version, by whether the large one was being loaded."""

    calm: list[float] = field(default_factory=list)
    loading: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    """How long each load took, from the move of the alias to the first answer of the large version."""


def main(
    switches: Annotated[int, typer.Option(help="How often the large version is loaded.")] = 6,
    seconds: Annotated[float, typer.Option(help="Seconds of calm before each load.")] = 5.0,
) -> None:
    """Measure and print a table."""
    os.environ["FITSERVE_ENGINE_CACHE_BYTES"] = str(2**20)
    with tempfile.TemporaryDirectory() as folder:
        with fitserve("up", folder) as (_, url):
            fit_versions(url)
        with fitserve("api", folder) as (_, url):
            latencies = asyncio.run(measure(url, switches, seconds))
    show(latencies)


def fit_versions(url: str) -> None:
    """Publish the large version, then the small one."""
    with httpx.Client(base_url=url, timeout=300, trust_env=False) as client:
        rows = np.random.default_rng(0).standard_normal((16, COLUMNS)).round(3)
        dataset = call(client, "POST", "/api/datasets", json={"name": "rows", "x": rows.tolist(), "y": rows[:, 0].tolist()})["id"]
        document = {"name": MODEL, "definition": {"layers": LARGE}, "compile": COMPILE}
        call(client, "POST", "/api/models", json=document)
        fit(client, dataset)
        call(client, "PUT", f"/api/models/{MODEL}", json={"definition": {"layers": SMALL}, "compile": COMPILE})
        fit(client, dataset)


def fit(client: httpx.Client, dataset: str) -> None:
    """Fit the newest revision for one epoch."""
    body = {"model": MODEL, "dataset": dataset, "fit": {"epochs": 1, "batch_size": 16}}
    path = f"/api/runs/{call(client, 'POST', '/api/runs', json=body)['id']}"
    run: dict[str, Any] = {}
    while run.get("state") not in ("succeeded", "failed"):
        run = call(client, "GET", path, headers={"Prefer": "wait=20"})
    assert run["version"] is not None, run


async def measure(url: str, switches: int, seconds: float) -> Latencies:
    """Ask steadily, and move the alias to the large version and back."""
    found = Latencies()
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        await move(client, SMALL_VERSION)
        await ask_until(client, SMALL_VERSION, [])
        for _ in range(switches):
            await ask_for(client, seconds, found.calm)
            started = time.monotonic()
            await move(client, LARGE_VERSION)
            await ask_until(client, LARGE_VERSION, found.loading)
            found.loads.append(time.monotonic() - started)
            await move(client, SMALL_VERSION)
            await ask_until(client, SMALL_VERSION, [])
    return found


async def move(client: httpx.AsyncClient, version: int) -> None:
    (await client.put(f"/api/models/{MODEL}/aliases/production", json={"version": version})).raise_for_status()


async def ask_for(client: httpx.AsyncClient, seconds: float, latencies: list[float]) -> None:
    """Ask for so long."""
    end = time.monotonic() + seconds
    asking: list[asyncio.Task[tuple[int, float]]] = []
    while time.monotonic() < end:
        asking.append(asyncio.create_task(ask(client)))
        await asyncio.sleep(1 / REQUESTS_PER_SECOND)
    latencies += [latency for version, latency in await asyncio.gather(*asking) if version == SMALL_VERSION]


async def ask_until(client: httpx.AsyncClient, version: int, latencies: list[float]) -> None:
    """Ask until this version answers."""
    while (await ask(client))[0] != version:
        await ask_for(client, 0.1, latencies)


async def ask(client: httpx.AsyncClient) -> tuple[int, float]:
    """The version that answers a row, and how long that took."""
    started = time.perf_counter()
    body = {"instances": [[0.5] * COLUMNS]}
    answer = await client.post(f"/v1/models/{MODEL}/labels/production:predict", json=body)
    answer.raise_for_status()
    return int(answer.headers["fitserve-model-version"]), time.perf_counter() - started


def show(latencies: Latencies) -> None:
    """Print what was found."""
    table = Table(title=f"One row at {REQUESTS_PER_SECOND} requests/s while a version of 180 MB is loaded")
    for name in ("when", "answers", "p50 ms", "p99 ms", "longest ms"):
        table.add_column(name, justify="left" if name == "when" else "right")
    for name, seconds in (("before", latencies.calm), ("during the load", latencies.loading)):
        p50, p99, longest = (MILLISECONDS * float(np.percentile(seconds, share)) for share in (50, 99, 100))
        table.add_row(name, f"{len(seconds):,}", f"{p50:.2f}", f"{p99:.2f}", f"{longest:.2f}")
    ratio = float(np.percentile(latencies.loading, 99) / np.percentile(latencies.calm, 99))
    console = Console()
    console.print(table)
    console.print(f"A load took {np.median(latencies.loads):.1f} s. p99 during it / before: {ratio:.2f} (goal: at most {GOAL:g})")


if __name__ == "__main__":
    typer.run(main)
