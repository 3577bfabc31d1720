"""What the demo shows: short steps, a live bar in a terminal, one line per epoch elsewhere. Knows no HTTP."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from service.cli.demo_client import Event
from service.cli.demo_digits import Digits, Picture, draw

Document = dict[str, Any]

QUEUED = "waiting for the worker"


class View:
    """Writes the story of one demo to standard output. ``started_at``: the monotonic clock when it began."""

    def __init__(self, started_at: float) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._started_at = started_at

    def waiting(self, what: str) -> AbstractContextManager[Any]:
        """A sign of life for the length of a block."""
        return self._console.status(f"{what} …") if self._console.is_terminal else nullcontext()

    def started(self, url: str) -> None:
        """The service answers."""
        self._step("Service", f"ready at {url}")

    def uploaded(self, dataset: Document) -> None:
        """The dataset is stored."""
        size = f"{dataset['rows']} rows, {len(dataset['columns'])} columns"
        self._step("Dataset", f"{dataset['name']}: {size}  ({dataset['id']})")

    def defined(self, model: Document) -> None:
        """The model is stored."""
        described = [f"{layer['type']} {layer['units']} {layer['activation']}" for layer in model["definition"]["layers"]]
        layers = " → ".join(described)
        self._step("Model", f"{model['name']}: {layers}  (revision {model['revision']})")

    def accepted(self, run: Document) -> None:
        """The run is queued."""
        self._step("Run", f"{run['fit']['epochs']} epochs, batches of {run['fit']['batch_size']} rows  ({run['id']})")

    @contextmanager
    def fitting(self, epochs: int) -> Iterator["FittingView"]:
        """The live view of one run of that many epochs."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
        )
        is_live = self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=not is_live) as progress:
            yield FittingView(self._console, progress, epochs)

    def fitted(self, run: Document, metrics: dict[str, list[float]]) -> None:
        """The run has succeeded."""
        table = Table("metric", "first epoch", "last epoch", title="What it learnt", title_justify="left")
        for name, values in metrics.items():
            table.add_row(name, f"{values[0]:.4f}", f"{values[-1]:.4f}")
        self._console.print()
        self._console.print(table)
        self._step("Version", f"{run['version']} of {run['model']} is published and answers predictions")

    def predicted(self, version: int, digits: Digits, predictions: list[Document], count: int) -> None:
        """Some predictions beside the truth."""
        self._console.print(f"\nVersion {version} looks at digits that it has never seen:\n")
        every = max(1, len(predictions) // count)
        picked = range(0, every * count, every)
        self._console.print(Columns([self._card(digits, predictions, row) for row in picked], padding=(0, 3)))

    def _card(self, digits: Digits, predictions: list[Document], row: int) -> Text:
        is_unicode = self._console.encoding.lower().startswith("utf")
        label, truth = predictions[row]["label"], digits.truths[row]
        sureness = max(predictions[row]["probabilities"].values())
        return Text.assemble(
            draw(digits.held_out[row], is_unicode=is_unicode),
            (f"\nsays  {label}", "green" if label == truth else "red"),
            f"\ntruth {truth}",
            (f"\n{sureness:.1%} sure", "dim"),
        )

    def judged(self, right: int, total: int) -> None:
        """The part of the held-out rows that was right."""
        self._console.print(f"\nRight on {right} of {total} held-out digits: {right / total:.1%}")

    def addresses(self, url: str, run_id: str, model: str, row: Picture, key: str | None) -> None:
        """Where to go on; with the ``key`` that requests need, if they do."""
        body = shlex.quote(json.dumps({"rows": [row]}, separators=(",", ":")))
        self._console.print(f"\n  all operations  {url}/docs")
        self._console.print(f"  this run        {url}/api/runs/{run_id}")
        self._console.print(f"  predictions     {url}/api/models/{model}:predict\n")
        shown = f" -H 'X-API-Key: {key}'" if key else ""
        request = f"curl {url}/api/models/{model}:predict{shown} -H 'Content-Type: application/json' -d {body}"
        self._console.print(request, markup=False)

    def left_running(self, pid: int) -> None:
        """The service stays."""
        self._console.print(f"\nThe service is still running. Stop it with: kill {pid}")

    def stopping(self) -> None:
        """The service is stopped now."""
        self._console.print("\nStopping the service. To try these addresses, leave it running: KEEP=1 make demo")

    def finished(self) -> None:
        """Everything went well."""
        self._console.print(f"Done in {time.monotonic() - self._started_at:.0f} seconds.")

    def failed(self, reason: str) -> None:
        """Something did not go as promised."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"fitserve demo: {reason}", markup=False)

    def _step(self, what: str, text: str) -> None:
        elapsed = time.monotonic() - self._started_at
        self._console.print(f"[bold]{what:<9}[/bold]{text}  [dim]{elapsed:.1f} s[/dim]")


class FittingView:
    """The bar of one run, and its lines where there is no terminal."""

    def __init__(self, console: Console, progress: Progress, epochs: int) -> None:
        self._console = console
        self._progress = progress
        self._epochs = epochs
        self._task = progress.add_task(QUEUED, total=1.0, numbers="")

    def show(self, event: Event) -> None:
        """Show what the event says; events of other kinds are passed over."""
        match event.name:
            case "state":
                self._show_state(event.data)
            case "epoch":
                self._show_epoch(event.data)
            case "progress":
                self._progress.update(self._task, completed=event.data["fraction"])

    def _show_state(self, state: Document) -> None:
        self._progress.update(self._task, description=QUEUED if state["state"] == "queued" else str(state["phase"]))

    def _show_epoch(self, epoch: Document) -> None:
        number, metrics = epoch["epoch"], epoch["metrics"]
        numbers = f"epoch {number:>2}/{self._epochs}  loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        self._progress.update(self._task, numbers=numbers, completed=number / self._epochs)
        if not self._console.is_terminal:
            self._console.print(f"  {numbers}")
