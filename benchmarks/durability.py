"""What durability costs: submitting into a long queue, listing a long history, and reporting from a fit.

Starts APIs of its own on temporary SQLite and PostgreSQL databases, on loopback. Prints medians and 95th percentiles.
Usage: ``python benchmarks/durability.py [stored runs, default 1000000]``.
"""

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
from sqlalchemy import text

from service.infra.database import Database, make_engine, now
from service.settings import Settings
from tests.acceptance.running import environment, wait_until
from tests.factories import new_run
from tests.servers import free_port, new_database, postgres_server

QUEUED = 10_000
SUBMITTED = 200
REQUESTS = 50
FEW = 1000
FITTED_STEPS = 300
STEP_SECONDS = 0.010
LISTINGS = {
    "newest first": {},
    "by priority": {"order_by": "-priority"},
    "one state": {"state": "failed"},
    "one model": {"model": "m7"},
    "one tag": {"tag": "rare"},
}
COPY = """
INSERT INTO runs ({columns})
WITH RECURSIVE numbers(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM numbers WHERE i < :last)
SELECT {values} FROM numbers, runs AS old WHERE old.id = 'run_template'
"""
CHANGED = {
    "id": "'run_' || CAST(100000000 + i AS VARCHAR(20))",
    "model": "'m' || CAST(i % 10 AS VARCHAR(5))",
    "priority": "i % 5",
    "state": "CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'succeeded' END",
}


def main() -> None:
    """Measure everything, one after the other, and print it."""
    stored = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    console = Console()
    with tempfile.TemporaryDirectory() as folder, postgres_server(Path(folder)) as server:
        for name, url in (("SQLite", ""), ("PostgreSQL", new_database(server))):
            settings = {"FITSERVE_DATA_DIR": str(Path(folder, name)), "FITSERVE_DATABASE_URL": url}
            with api(settings) as (client, database):
                console.print(submitting(name, client, database))
                console.print(listing(name, client, database, stored))
    console.print(reporting())


@contextmanager
def api(settings: dict[str, str]) -> Iterator[tuple[httpx.Client, Database]]:
    """A running API, and its database."""
    variables, port = environment({**settings, "FITSERVE_LOG_LEVEL": "warning"}), free_port()
    subprocess.run([sys.executable, "-m", "service.cli", "migrate"], env=variables, check=True, capture_output=True)
    process = subprocess.Popen([sys.executable, "-m", "service.cli", "api", "--port", str(port)], env=variables)
    given = {name.removeprefix("FITSERVE_").lower(): value for name, value in settings.items()}
    database = Database(make_engine(Settings(**given)))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            wait_until(lambda: answers(client), 30, "ready API")
            yield client, database
    finally:
        database.close()
        process.terminate()
        process.wait(30)


def answers(client: httpx.Client) -> bool:
    """Whether the API is ready."""
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def submitting(name: str, client: httpx.Client, database: Database) -> Table:
    """POST /api/runs with an empty queue and with a long one."""
    rows = [{"x": float(number), "y": number % 2} for number in range(8)]
    dataset = client.post("/api/datasets", json={"name": "d", "rows": rows}).json()["id"]
    definition = {"definition": {"layers": [{"type": "Dense", "units": 1}]}, "compile": {"optimizer": "sgd", "loss": "mse"}}
    client.post("/api/models", json={"name": "m", **definition})
    body = {"model": "m", "dataset": dataset, "target": "y"}

    def submit() -> None:
        assert client.post("/api/runs", json=body).status_code == 202

    table = Table("runs that wait", "median ms", "p95 ms", title=f"{name}: POST /api/runs")
    table.add_row("few", *milliseconds(submit, SUBMITTED))
    with database.write() as session:
        for _ in range(QUEUED):
            new_run(session)
    table.add_row(f"{QUEUED:,}", *milliseconds(submit, SUBMITTED))
    return table


def listing(name: str, client: httpx.Client, database: Database, stored: int) -> Table:
    """GET /api/runs with a short history and with a long one."""
    with database.write() as session:
        session.execute(text("DELETE FROM dataset_holds"))
        session.execute(text("DELETE FROM model_holds"))
        session.execute(text("DELETE FROM runs"))
        ended = {"state": "succeeded", "queued_at": None, "finished_at": now()}
        failure = {"type": "keras_error", "message": "It failed.", "hint": "Mend it."}
        new_run(session, id="run_template", plan={"steps": 1}, metrics={"loss": 0.5}, failure=failure, **ended)
    store(database, 1, FEW)
    few = {listed: times_of(client, query) for listed, query in LISTINGS.items()}
    store(database, FEW + 1, stored)
    table = Table("list", f"{FEW:,} runs: median ms", "p95", f"{stored:,} runs: median ms", "p95", title=f"{name}: GET /api/runs")
    for listed, query in LISTINGS.items():
        table.add_row(listed, *few[listed], *times_of(client, query))
    table.add_row("page after page 20", "", "", *times_of(client, {"page_token": later_page(client)}))
    return table


def store(database: Database, first: int, last: int) -> None:
    """Copy the template run many times; every thousandth has a tag."""
    with database.write() as session:
        found = session.execute(text("SELECT * FROM runs WHERE id = 'run_template'")).keys()
        columns = ", ".join(f'"{column}"' for column in found)
        values = ", ".join(CHANGED.get(column, f'old."{column}"') for column in found)
        session.execute(text(COPY.format(columns=columns, values=values)), {"first": first, "last": last})
        tagged = "SELECT id, 'rare' FROM runs WHERE id LIKE '%000' AND id NOT IN (SELECT run_id FROM run_tags)"
        session.execute(text(f"INSERT INTO run_tags (run_id, tag) {tagged}"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def later_page(client: httpx.Client) -> str:
    """The token of a page far from the first one."""
    token = None
    for _ in range(20):
        query = {"page_size": 200, **({"page_token": token} if token else {})}
        token = client.get("/api/runs", params=query).json()["next_page_token"]
    return str(token)


def times_of(client: httpx.Client, query: dict[str, Any]) -> tuple[str, str]:
    """Median and 95th percentile of a listing."""

    def get() -> None:
        client.get("/api/runs", params=query).raise_for_status()

    return milliseconds(get, REQUESTS)


def milliseconds(call: Callable[[], None], count: int) -> tuple[str, str]:
    """Median and 95th percentile of a call, as text."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(times):.1f}", f"{statistics.quantiles(times, n=20)[-1]:.1f}"


REPORTING = f"""
import tempfile, time
from pathlib import Path
from service.infra.database import Database, make_engine
from service.infra.migrations import upgrade
from service.runs import attempts, workers
from service.settings import Settings
from service.spec.frames import EpochEnded, Progress
from service.training.callbacks import ReportEpoch, ReportProgress, StopWhenAsked
from service.training.wishes import Wishes
from tests.factories import queue_run

with tempfile.TemporaryDirectory() as folder:
    settings = Settings(data_dir=Path(folder))
    upgrade(settings)
    database = Database(make_engine(settings))
    queue_run(database)
    claim = attempts.claim(database, settings, "wrk_1", ["cpu"]).claim
    frames = []
    callbacks = [ReportEpoch(frames.append, [], 0.0), ReportProgress(frames.append, 0), StopWhenAsked(Wishes())]
    spent = 0.0
    for step in range({FITTED_STEPS}):
        time.sleep({STEP_SECONDS})
        began = time.perf_counter()
        for callback in callbacks:
            callback.on_train_batch_end(step, {{"loss": 0.5, "accuracy": 0.5}})
        spent += time.perf_counter() - began
    began_cpu = time.process_time()
    for number in range(1, 21):
        ended = EpochEnded(epoch=number, metrics={{"loss": 0.5}}, seconds=1.0)
        attempts.record(database, claim, [Progress(epoch=number, step=1, metrics={{}}), ended])
    record = (time.process_time() - began_cpu) / 20
    began_cpu = time.process_time()
    for _ in range(20):
        workers.beat(database, "wrk_1", [claim.run_id], 60)
        attempts.cancel_wish(database, claim)
    beat = (time.process_time() - began_cpu) / 20
    database.close()
    print(spent / {FITTED_STEPS}, record, beat)
"""


def reporting() -> Table:
    """What callbacks cost the fit at 10 ms per step, and what the worker beside it computes."""
    answer = subprocess.run([sys.executable, "-c", REPORTING], capture_output=True, text=True, check=True)
    callbacks, record, beat = map(float, answer.stdout.split()[-3:])
    table = Table("what", "share of a run's time", title=f"Reporting, at {STEP_SECONDS * 1000:.0f} ms per step")
    table.add_row("callbacks in the trainer, per step", f"{callbacks / STEP_SECONDS:.3%}")
    table.add_row("worker: five reports a second (computing time)", f"{5 * record:.3%}")
    table.add_row("worker: a beat in ten seconds, four looks a second", f"{4 * beat:.3%}")
    return table


if __name__ == "__main__":
    main()
