"""How fast a fit is, and how much memory it takes: beside a bare ``model.fit``, a whole Keras script and scikit-learn.

Both sides of a comparison take turns, so that a busy machine slows both down; medians and their ratios are printed.
Our side is a warm trainer, since a worker keeps one, with a new model every time. *Inside fit* is the time from the
phase ``fitting`` to the next one. Needs Linux. Usage: ``python benchmarks/fit.py [--only tutorial,http] [--repeat 5]
[--max-rows 10000000] [--draw]``; ``--draw`` renews ``docs/fit_speed.svg``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from first_epoch import call, fitserve
from fit_cases import CNN, LARGE, TUTORIAL, Case
from fit_curve import Point, draw, measure_curve
from rich.console import Console
from rich.table import Table
from warm_trainer import WarmTrainer

HERE = Path(__file__).parent
PICTURE = HERE.parent / "docs" / "fit_speed.svg"
HTTP_GOAL = 8.0
MEMORY_GOAL_BYTES = 1.5e9
SPEED_GOAL = 0.8
CURVE_ROUNDS = 3
RIVAL_DEADLINE_SECONDS = 600.0
WAIT_SECONDS = 60
LOG_END_CHARACTERS = 2000

console = Console(width=140, highlight=False)


@dataclass(frozen=True)
class Row:
    """A line of the last table; ``is_reached`` is None where there is no goal."""

    what: str
    ours: str
    other: str = ""
    ratio: str = ""
    goal: str = ""
    is_reached: bool | None = None


def main() -> int:
    """Measure the chosen parts one after the other; 1 when one of them could not be measured, whatever the ratios."""
    options = read_options()
    rows: list[Row] = []
    failed = []
    for part in options.only:
        try:
            with tempfile.TemporaryDirectory(prefix="fitserve-bench-") as folder:
                rows += PARTS[part](options, Path(folder))
        except Exception:
            console.print_exception()
            failed.append(part)
    if rows:
        show(rows)
    if failed:
        console.print(f"Could not be measured: {', '.join(failed)}.", style="bold red")
    return 1 if failed else 0


def read_options() -> argparse.Namespace:
    """What to measure, and how often."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=part_names, default=list(PARTS), metavar=",".join(PARTS), help="parts; all if left out")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each comparison")
    parser.add_argument("--max-rows", type=int, default=10_000_000, help="largest table of the curve")
    parser.add_argument("--draw", action="store_true", help=f"draw the curve into {PICTURE.parent.name}/{PICTURE.name}")
    options = parser.parse_args()
    if options.draw and "curve" not in options.only:
        parser.error("--draw draws the curve: let --only name it too.")
    if options.repeat < 1 or options.max_rows < 1:
        parser.error("--repeat and --max-rows are at least 1.")
    return options


def part_names(text: str) -> list[str]:
    """The parts of a list with commas."""
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part is named {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    return names


def beside_keras(case: Case) -> Callable[[argparse.Namespace, Path], list[Row]]:
    """Inside fit: a warm trainer against ``model.fit`` in a process of its own."""

    def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
        announce(
            f"{case.title} ({case.details}), inside fit",
            "ours: warm trainer, a new model each time",
            "bare: model.fit(x, y, …) with Keras's defaults; first and second fit of a fresh process, after imports and building",
        )
        ours, bare = take_turns(case, folder, "keras_fit.py", options.repeat)
        first, second = zip(*bare, strict=True)
        return [
            seconds_row(f"{case.title}: inside fit", ours, list(first), case.goal),
            seconds_row("    … beside the second fit of the bare process", ours, list(second)),
        ]

    return measure


def beside_scikit_learn(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Inside fit: a warm trainer against scikit-learn, for orientation."""
    rows = []
    for case in (TUTORIAL, LARGE):
        announce(
            f"{case.title} ({case.details}), inside fit",
            "ours: warm trainer, a new model each time",
            "scikit-learn: MLPClassifier with the same sizes, batches and epochs, without early stopping",
        )
        ours, theirs = take_turns(case, folder / case.name, "scikit_learn.py", options.repeat)
        seconds = [seconds for (seconds,) in theirs]
        rows.append(speed_row(f"{case.title}: beside scikit-learn", case.samples, ours, seconds))
    return rows


def take_turns(case: Case, folder: Path, rival: str, repeat: int) -> tuple[list[float], list[list[float]]]:
    """Seconds inside our fits, and those that each process of the rival has measured."""
    data = folder / "data"
    folder.mkdir(exist_ok=True)
    case.write_data(data)
    ours, theirs = [], []
    with WarmTrainer() as trainer:
        for _ in range(repeat):
            fitted = trainer.fit(case, data)
            found = run_rival(rival, case.name, str(data))
            if found["work"] != fitted.work:
                raise RuntimeError(f"The sides do not do the same work: {fitted.work}, {rival} {found['work']}.")
            ours.append(fitted.seconds["fitting"])
            theirs.append(found["seconds"])
            told = " ".join(f"{seconds:8.3f} s" for seconds in found["seconds"])
            console.print(f"  ours {ours[-1]:8.3f} s   {rival} {told}")
    return ours, theirs


def run_rival(rival: str, *arguments: str) -> dict[str, Any]:
    """What a program of ``rivals/`` measured in itself."""
    answer = run_python([str(HERE / "rivals" / rival), *arguments], HERE)
    document: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return document


def run_python(arguments: list[str], folder: Path) -> str:
    """What Python printed. Raises RuntimeError with the end of its complaints when it fails."""
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=RIVAL_DEADLINE_SECONDS
    )
    if ended.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {ended.returncode}.\n{ended.stderr[-LOG_END_CHARACTERS:]}")
    return ended.stdout


def over_http(options: argparse.Namespace, folder: Path) -> list[Row]:
    """From asking for a run to its success, against the whole script."""
    announce(
        f"{TUTORIAL.title} ({TUTORIAL.details}), end to end",
        "ours: POST /api/runs until the run has succeeded, on a warm worker; the data is there. A run publishes a version, too "
        "(export to ONNX, comparison with Keras), unless it was asked not to",
        "script: python keras_script.py as a whole (import tensorflow, make the data, fit, save .keras)",
    )
    published, kept, script = [], [], []
    with (
        fitserve("up", str(folder)) as (_, url),
        httpx.Client(base_url=url, timeout=WAIT_SECONDS + 30, trust_env=False) as client,
    ):
        dataset = prepare(client, folder / "arrays")
        for _ in range(options.repeat):
            published.append(run_seconds(client, dataset, publish=True))
            kept.append(run_seconds(client, dataset, publish=False))
            script.append(script_seconds(folder))
            console.print(f"  ours {published[-1]:.3f} s   without publishing {kept[-1]:.3f} s   script {script[-1]:.3f} s")
    return [
        seconds_row(f"{TUTORIAL.title}: end to end over HTTP", published, script, HTTP_GOAL),
        seconds_row("    … without publishing a version", kept, script),
    ]


def prepare(client: httpx.Client, arrays_folder: Path) -> str:
    """Store the model and its data, and wait for the trainer: a run of another, tiny model. The id of the dataset."""
    TUTORIAL.write_data(arrays_folder)
    arrays = {name: np.load(arrays_folder / f"{name}.npy").tolist() for name in ("x", "y")}
    dataset = str(call(client, "POST", "/api/datasets", json={"name": TUTORIAL.name, **arrays})["id"])
    tiny = {"layers": TUTORIAL.layers[-1:]}
    for name, definition in ((TUTORIAL.name, TUTORIAL.definition), ("tiny", tiny)):
        call(client, "POST", "/api/models", json={"name": name, "definition": definition, "compile": TUTORIAL.compile})
    run_to_success(client, {"model": "tiny", "dataset": dataset, "target": "y"})
    return dataset


def run_seconds(client: httpx.Client, dataset: str, publish: bool) -> float:
    """From the request to the answer that says ``succeeded``."""
    request = {"model": TUTORIAL.name, "dataset": dataset, "target": "y", "fit": TUTORIAL.fit, "publish": publish}
    began = time.perf_counter()
    run_to_success(client, request)
    return time.perf_counter() - began


def run_to_success(client: httpx.Client, request: dict[str, Any]) -> None:
    """Ask for a run and wait for its end. Raises RuntimeError when it does not succeed."""
    run = call(client, "POST", "/api/runs", json=request)
    while run["state"] in ("queued", "running"):
        run = call(client, "GET", f"/api/runs/{run['id']}", headers={"Prefer": f"wait={WAIT_SECONDS}"})
    if run["state"] != "succeeded":
        raise RuntimeError(f"The run has {run['state']}: {run['failure']}")


def script_seconds(folder: Path) -> float:
    """From starting Python to the end of the script."""
    began = time.perf_counter()
    run_python([str(HERE / "rivals" / "keras_script.py")], folder)
    return time.perf_counter() - began


def curve(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Speed and memory by the number of rows."""
    announce(
        "Dense 128-64-1 on 28 float32 columns by the number of rows, batch 1024, 1 epoch",
        "a fresh warm trainer for each fit; median of the rows per second inside fit; highest peak of the resident memory during",
        "the whole job over that of the warm trainer before it, with mapped files (RSS) and without them (anonymous)",
    )
    points = measure_curve(options.max_rows, min(options.repeat, CURVE_ROUNDS), folder, tell)
    console.print(curve_table(points))
    if options.draw:
        draw(points, MEMORY_GOAL_BYTES, PICTURE)
        console.print(f"  Drawn into {PICTURE.name}.")
    return [memory_row(points), *([curve_speed_row(points)] if len(points) > 1 else [])]


def tell(point: Point) -> None:
    """Print what one fit of the curve took."""
    megabytes = point.peak_bytes / 1e6
    console.print(f"  {point.rows:>12,} rows   {point.rows_per_second:>9,.0f} rows/s   peak {megabytes:>6,.0f} MB")


def curve_table(points: list[Point]) -> Table:
    """One line for each size."""
    table = Table("rows", "rows/s inside fit", "encode s", "warm RSS MB", "peak RSS over it, MB", "anonymous, MB")
    for column in table.columns:
        column.justify = "right"
    for point in points:
        sizes = (point.warm_bytes, point.peak_bytes, point.anonymous_bytes)
        megabytes = [f"{size / 1e6:,.0f}" for size in sizes]
        table.add_row(f"{point.rows:,}", f"{point.rows_per_second:,.0f}", f"{point.encode_seconds:.2f}", *megabytes)
    return table


def memory_row(points: list[Point]) -> Row:
    """The highest peak of all sizes."""
    highest = max(points, key=lambda point: point.peak_bytes)
    what = f"Up to {points[-1].rows:,} rows: highest peak of RSS, at {highest.rows:,} rows"
    megabytes = f"{highest.peak_bytes / 1e6:,.0f} MB"
    return Row(what, megabytes, goal=f"< {MEMORY_GOAL_BYTES / 1e6:,.0f} MB", is_reached=highest.peak_bytes < MEMORY_GOAL_BYTES)


def curve_speed_row(points: list[Point]) -> Row:
    """The largest size beside the fastest of the smaller ones."""
    *smaller, largest = points
    fastest = max(smaller, key=lambda point: point.rows_per_second)
    ratio = largest.rows_per_second / fastest.rows_per_second
    return Row(
        f"{largest.rows:,} rows beside {fastest.rows:,}, the fastest smaller size",
        f"{largest.rows_per_second:,.0f}/s",
        f"{fastest.rows_per_second:,.0f}/s",
        f"{ratio:.2f}",
        f"≥ {SPEED_GOAL:g}",
        ratio >= SPEED_GOAL,
    )


def seconds_row(what: str, ours: list[float], other: list[float], goal: float | None = None) -> Row:
    """Medians in seconds; the ratio says how many times faster ours is."""
    our_median, other_median = statistics.median(ours), statistics.median(other)
    ratio = other_median / our_median
    goal_text, is_reached = ("", None) if goal is None else (f"≥ {goal:g}", ratio >= goal)
    return Row(what, f"{our_median:.3f} s", f"{other_median:.3f} s", f"{ratio:.2f}", goal_text, is_reached)


def speed_row(what: str, samples: int, ours: list[float], other: list[float]) -> Row:
    """Medians in samples per second."""
    our_median, other_median = statistics.median(ours), statistics.median(other)
    return Row(what, f"{samples / our_median:,.0f}/s", f"{samples / other_median:,.0f}/s", f"{other_median / our_median:.2f}")


def announce(title: str, *sides: str) -> None:
    """Print what is compared."""
    console.print(f"\n[bold]{title}[/bold]")
    for side in sides:
        console.print(f"  {side}")


def show(rows: list[Row]) -> None:
    """Print the last table."""
    table = Table("what (medians)", "ours", "other", "ratio", "goal", "reached")
    marks = {True: "yes", False: "no", None: ""}
    for row in rows:
        table.add_row(row.what, row.ours, row.other, row.ratio, row.goal, marks[row.is_reached])
    console.print()
    console.print(table)


PARTS: dict[str, Callable[[argparse.Namespace, Path], list[Row]]] = {
    "tutorial": beside_keras(TUTORIAL),
    "http": over_http,
    "large": beside_keras(LARGE),
    "cnn": beside_keras(CNN),
    "sklearn": beside_scikit_learn,
    "curve": curve,
}

if __name__ == "__main__":
    sys.exit(main())
