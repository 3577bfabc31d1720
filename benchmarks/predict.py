"""How fast predictions are answered: Fitserve beside the limit of a Python server and beside small FastAPI programs.

Every server has one core, the client (wrk) another, over kept connections. Contestants take turns, round by round; medians
of the rounds are printed, and ratios are medians of each round's ratios, so that a busy machine slows all of them down.
What others take from the server's core is left out of *per s of CPU* and *by CPU*; *core* is the share that it got.
Also measured: the memory of an API process that serves ten models, and how soon a cold one answers. The models are made
once, by the service, and kept in a temporary folder. Needs Linux. Usage: ``PYTHONPATH=. python benchmarks/predict.py
[--quick] [--only one_row,memory] [--connections 16,1] [--rounds 5] [--seconds 2] [--without fastapi_keras] [--markdown]``.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from first_epoch import fitserve, wait_for
from predict_cases import APP, CASES, LIMIT, Case, Contestant, instances
from predict_field import Entrant, line_up
from predict_load import Load, complaint, cores, cpu_seconds, memory_bytes, on_core, press
from predict_models import KINDS, SMALL, kept_models
from rich.console import Console
from rich.table import Table

from tests.servers import free_port

MANY_CONNECTIONS = 16
CORE_SHARE_OF_A_QUIET_MACHINE = 0.85
P99_GOAL = 3.0
MEMORY_GOAL_BYTES = 300e6
START_GOAL_SECONDS = 2.0
BY_CPU = "requests_per_cpu_second"
RIVALS = ("fastapi_keras",)
QUICK = {"connections": [MANY_CONNECTIONS], "rounds": 2, "seconds": 1, "without": list(RIVALS)}

console = Console(width=140, highlight=False)


@dataclass(frozen=True)
class Goal:
    """A line of the last table; ``by_cpu`` is the same figure by the servers' processor time, where there is one."""

    what: str
    figure: str
    goal: str
    is_met: bool
    by_cpu: str = ""


def main() -> int:
    """Measure the chosen parts one after the other; 1 when one of them could not be measured, whatever the figures."""
    options = read_options()
    if reason := complaint():
        console.print(reason)
        return 1
    models = kept_models()
    goals: list[Goal] = []
    failed = []
    for part in options.only:
        try:
            with tempfile.TemporaryDirectory(prefix="fitserve-bench-") as scratch:
                goals += PARTS[part](options, models, Path(scratch))
        except Exception:
            console.print_exception()
            failed.append(part)
    show(goals)
    if options.markdown:
        print(markdown(goals))
    if failed:
        console.print(f"Could not be measured: {', '.join(failed)}.", style="bold red")
    return 1 if failed else 0


def read_options() -> argparse.Namespace:
    """What to measure, and how long."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", type=names_of(PARTS), default=list(PARTS), metavar=",".join(PARTS), help="parts; all if left out"
    )
    parser.add_argument("--connections", type=integers, default=[MANY_CONNECTIONS, 1], help="connections at once, e.g. 16,1")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn; twice that for the wide model")
    parser.add_argument("--without", type=names_of(RIVALS), default=[], metavar=",".join(RIVALS), help="rivals to leave out")
    parser.add_argument("--quick", action="store_true", help="a minute or two: short turns, 16 connections, without Keras")
    parser.add_argument("--markdown", action="store_true", help="print the goals as a table for the documentation, too")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    if min(options.rounds, options.seconds, *options.connections) < 1:
        parser.error("--rounds, --seconds and --connections are at least 1.")
    return options


def names_of(known: "dict[str, Part] | tuple[str, ...]") -> Callable[[str], list[str]]:
    """Reads a list with commas that holds only known names."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


def integers(text: str) -> list[int]:
    """A list of integers with commas."""
    return [int(number) for number in text.split(",")]


def speed(case: Case) -> "Part":
    """One case: everybody's speed and latency."""

    def measure(options: argparse.Namespace, models: Path, scratch: Path) -> list[Goal]:
        goals: list[Goal] = []
        with line_up(case, models, scratch, set(options.without)) as entrants:
            tell_missing(case, entrants, options.without)
            for connections in options.connections if entrants else []:
                loads = take_turns(entrants, connections, options.rounds, case.turns * options.seconds)
                console.print(speed_table(case, connections, loads))
                if connections == MANY_CONNECTIONS:
                    tell_disturbance(loads)
                    goals += speed_goals(case, loads)
        return goals

    return measure


def tell_missing(case: Case, entrants: list[Entrant], left_out: list[str]) -> None:
    """One line for everybody who does not take part, with the reason."""
    present = [entrant.contestant for entrant in entrants]
    for contestant in case.contestants:
        if not contestant.rival and contestant not in present:
            console.print(f"{case.title}: {contestant.name} is left out: {contestant.path} answers 404.")
        elif contestant.rival in left_out:
            console.print(f"{case.title}: {contestant.name} is left out, as was asked for.")


def take_turns(entrants: list[Entrant], connections: int, rounds: int, seconds: int) -> dict[str, list[Load]]:
    """What each round has counted, by contestant; the first turn of each is not kept."""
    loads: dict[str, list[Load]] = {entrant.contestant.name: [] for entrant in entrants}
    with on_core(cores()[1]):
        for entrant in entrants:
            press(entrant.post, connections, 1, entrant.server_pid)
        for _ in range(rounds):
            for entrant in entrants:
                load = press(entrant.post, connections, seconds, entrant.server_pid)
                loads[entrant.contestant.name].append(load)
    return loads


def speed_table(case: Case, connections: int, loads: dict[str, list[Load]]) -> Table:
    """One line for each contestant."""
    count = "1 connection" if connections == 1 else f"{connections} connections"
    table = Table("who", title=f"{case.title}, {count} (load average {os.getloadavg()[0]:.1f})")
    columns = (
        "requests/s",
        "from – to",
        "core",
        "per s of CPU",
        "p50 ms",
        "p99 ms",
        "/ limit",
        "/ FastAPI+onnx",
        "p99 / limit's",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for name, found in loads.items():
        speeds = [load.requests_per_second for load in found]
        table.add_row(
            name,
            f"{statistics.median(speeds):,.0f}",
            f"{min(speeds):,.0f} – {max(speeds):,.0f}",
            f"{median_of(found, 'core_share'):.0%}",
            f"{median_of(found, 'requests_per_cpu_second'):,.0f}",
            f"{median_of(found, 'p50'):.2f}",
            f"{median_of(found, 'p99'):.2f}",
            f"{ratio(loads, name, LIMIT):.0%}",
            f"{ratio(loads, name, APP):.2f}",
            f"{ratio(loads, name, LIMIT, 'p99'):.2f}",
        )
    return table


def tell_disturbance(loads: dict[str, list[Load]]) -> None:
    """One line where servers that always had something to do got too little of their core."""
    least = min(median_of(found, "core_share") for found in loads.values())
    if least < CORE_SHARE_OF_A_QUIET_MACHINE:
        console.print(f"Others were at work on the machine: a server got only {least:.0%} of its core. Trust the figures by CPU.")


def speed_goals(case: Case, loads: dict[str, list[Load]]) -> list[Goal]:
    """What is promised for each of Fitserve's paths."""
    goals = []
    for name in (contestant.name for contestant in case.contestants if not contestant.rival and contestant.name in loads):
        what = f"{case.title}: {name}"
        if case.of_limit is not None:
            of_limit, by_cpu = ratio(loads, name, LIMIT), ratio(loads, name, LIMIT, BY_CPU)
            is_met = of_limit >= case.of_limit
            goals.append(Goal(f"{what} / limit", f"{of_limit:.0%}", f"≥ {case.of_limit:.0%}", is_met, f"{by_cpu:.0%}"))
        of_app, by_cpu = ratio(loads, name, APP), ratio(loads, name, APP, BY_CPU)
        goals.append(Goal(f"{what} / {APP.name}", f"{of_app:.2f}", f"≥ {case.of_app:g}", of_app >= case.of_app, f"{by_cpu:.2f}"))
        p99 = ratio(loads, name, LIMIT, "p99")
        goals.append(Goal(f"{what}: p99 / limit's", f"{p99:.2f}", f"≤ {P99_GOAL:g}", p99 <= P99_GOAL))
    return goals


def ratio(loads: dict[str, list[Load]], name: str, other: Contestant, figure: str = "requests_per_second") -> float:
    """Median of the ratios of every round."""
    rounds = zip(loads[name], loads[other.name], strict=True)
    ratios = [float(getattr(load, figure) / getattr(beside, figure)) for load, beside in rounds]
    return statistics.median(ratios)


def median_of(loads: list[Load], figure: str) -> float:
    """Median of one figure of the rounds."""
    return statistics.median(float(getattr(load, figure)) for load in loads)


def memory(options: argparse.Namespace, models: Path, scratch: Path) -> list[Goal]:
    """Of an API process when ten models have answered one row and 64 rows each."""
    with on_core(cores()[0]), fitserve("api", str(models)) as (process, url):
        fresh, _ = memory_bytes(process.pid)
        served = [(kind, model) for kind in KINDS for model in kind.models]
        for kind, model in served:
            for count in (1, 64):
                ask(f"{url}/v1/models/{model}:predict", instances(kind.rows(count)).content)
        rss, pss = memory_bytes(process.pid)
    others = f"PSS {pss / 1e6:.0f} MB; before the first one RSS {fresh / 1e6:.0f} MB"
    what = f"Memory of the API with {len(served)} models, RSS ({others})"
    return [Goal(what, f"{rss / 1e6:.0f} MB", f"< {MEMORY_GOAL_BYTES / 1e6:.0f} MB", rss < MEMORY_GOAL_BYTES)]


def start(options: argparse.Namespace, models: Path, scratch: Path) -> list[Goal]:
    """From the start of an API process on one core to the answer of its first prediction."""
    first_answer_seconds(models, scratch)  # reads the files from the disk
    times, worked = zip(*(first_answer_seconds(models, scratch) for _ in range(options.rounds)), strict=True)
    seconds = statistics.median(times)
    what = f"Start of the API to its first prediction ({min(times):.2f} – {max(times):.2f} s)"
    is_met = seconds < START_GOAL_SECONDS
    return [Goal(what, f"{seconds:.2f} s", f"< {START_GOAL_SECONDS:g} s", is_met, f"{statistics.median(worked):.2f} s")]


def first_answer_seconds(models: Path, scratch: Path) -> tuple[float, float]:
    """Ask until it answers; how long that took, and the processor time of it."""
    port = free_port()
    url, body = f"http://127.0.0.1:{port}/v1/models/{SMALL.name}:predict", instances(SMALL.rows(1)).content
    command = [sys.executable, "-m", "service.cli", "api", "--port", str(port), "--data-dir", str(models / "data")]
    with (scratch / "api.log").open("ab") as log, on_core(cores()[0]):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(trust_env=False) as client:
            wait_for(lambda: is_answered(client, url, body))
        return time.perf_counter() - began, cpu_seconds(process.pid)
    finally:
        process.terminate()
        process.wait()


def is_answered(client: httpx.Client, url: str, body: bytes) -> bool:
    """Whether a prediction is answered already."""
    try:
        return client.post(url, content=body).is_success
    except httpx.TransportError:
        return False


def ask(url: str, body: bytes) -> None:
    """One prediction."""
    httpx.post(url, content=body, timeout=60, trust_env=False).raise_for_status()


def show(goals: list[Goal]) -> None:
    """Print the last table."""
    table = Table(
        "what", "figure", "by CPU", "goal", "met", title=f"Load average of the machine at the end: {os.getloadavg()[0]:.1f}"
    )
    for goal in goals:
        table.add_row(goal.what, goal.figure, goal.by_cpu, goal.goal, "yes" if goal.is_met else "no")
    console.print(table)


def markdown(goals: list[Goal]) -> str:
    """The goals with their figures, the day and the kind of machine."""
    processor = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE) or [platform.machine()]
    measured = f"Measured on {datetime.now(UTC):%Y-%m-%d}, {processor[0]}, one core each for server and client."
    lines = [f"| {goal.what} | {goal.figure} | {goal.goal} |" for goal in goals]
    return "\n".join([measured, "", "| what | is | goal |", "|---|---|---|", *lines])


Part = Callable[[argparse.Namespace, Path, Path], list[Goal]]
PARTS: dict[str, Part] = {**{case.name: speed(case) for case in CASES}, "memory": memory, "start": start}

if __name__ == "__main__":
    sys.exit(main())
