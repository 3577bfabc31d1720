"""How long ``POST /api/models:check`` takes, cold and warm, and what the process that builds the models weighs.

Starts an API of its own in a temporary folder on a free port. Times are in milliseconds, memory in MB. Reads /proc, so it
needs Linux. Run it from the top folder: ``PYTHONPATH=. python benchmarks/model_check.py``.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import keras
from rich.console import Console
from rich.table import Table

from tests.acceptance.running import running_api
from tests.graphs import GRAPHS

REQUESTS = 100
CHECKER = "service.training.checking"
COMPILE = {"optimizer": "adam", "loss": "SparseCategoricalCrossentropy", "metrics": ["accuracy"]}


def dense(units: int, activation: str) -> dict[str, Any]:
    """A Dense layer."""
    return {"type": "Dense", "units": units, "activation": activation}


CONVOLUTIONS = [
    layer
    for filters in (32, 64, 128, 256)
    for layer in (
        {"type": "Conv2D", "filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "MaxPooling2D"},
        {"type": "Dropout", "rate": 0.2},
    )
]
MODELS: dict[str, dict[str, Any]] = {
    "3 Dense layers": {"layers": [dense(25, "sigmoid"), dense(15, "sigmoid"), dense(1, "sigmoid")], "input_shape": [64]},
    "18 layers of an image network": {
        "layers": [*CONVOLUTIONS, {"type": "Flatten"}, dense(10, "softmax")],
        "input_shape": [64, 64, 3],
    },
    "an embedding and 2 LSTMs": {
        "layers": [
            {"type": "Embedding", "input_dim": 20_000, "output_dim": 128},
            {"type": "LSTM", "units": 64, "return_sequences": True},
            {"type": "LSTM", "units": 64},
            dense(5, "softmax"),
        ],
        "input_shape": [200],
    },
    "100 Dense layers": {"layers": [dense(64, "relu")] * 99 + [dense(10, "softmax")], "input_shape": [64]},
    "an image too small for its filter": {
        "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 9}],
        "input_shape": [8, 8, 1],
    },
    "a transformer as a graph": GRAPHS["a transformer"],
}
APPLICATIONS = ("MobileNetV2", "ResNet50", "DenseNet121")


def models() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and definition of every model; the last ones are of Keras's own, as it writes them."""
    yield from MODELS.items()
    for name in APPLICATIONS:
        model = getattr(keras.applications, name)(weights=None)
        yield f"{name}, {len(model.layers)} layers", {"keras": model.to_json()}


def main() -> None:
    """Measure everything, one after the other, and print it."""
    table = Table("model", "first", "median", "p95", "max", title=f"POST /api/models:check, {REQUESTS} requests each (ms)")
    with tempfile.TemporaryDirectory() as folder, running_api(Path(folder)) as (http, process):
        for name, definition in models():
            ask = asker(http, {"definition": definition, "compile": COMPILE})
            first = ask()
            times = sorted(ask() for _ in range(REQUESTS))
            row = [first, statistics.median(times), times[int(0.95 * REQUESTS)], times[-1]]
            table.add_row(name, *(f"{milliseconds:.1f}" for milliseconds in row))
        Console().print(table)
        for child in process.children():
            if CHECKER in child.cmdline():
                memory = child.memory_full_info()
                print(f"The process weighs {memory.rss >> 20} MB, of which {memory.uss >> 20} MB are its own.")


def asker(http: httpx.Client, body: dict[str, Any]) -> Callable[[], float]:
    """A function that asks once and says how long it took."""

    def ask() -> float:
        began = time.perf_counter()
        http.post("/api/models:check", json=body).raise_for_status()
        return 1000 * (time.perf_counter() - began)

    return ask


if __name__ == "__main__":
    main()
