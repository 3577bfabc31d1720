"""Fits of data larger than the memory for it, each in a process of its own whose memory is watched."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.spec.frames import DatasetFiles
from tests.unit.training.conftest import make_job

COLUMNS = 28
BLOCK_ROWS = 100_000
MEGABYTE = 1024 * 1024
MOST_BYTES = (350 * MEGABYTE, 280 * MEGABYTE)
"""Above the memory of a warm trainer: with the pages of files, which the kernel can take back at any time, and without."""
MOST_GROWTH_BYTES = (96 * MEGABYTE, 64 * MEGABYTE)
"""By how much each may be higher for a million rows more, which are 112 MB."""

CHILD = """
import json, sys, threading, time
import msgspec
import psutil
from service.infra.memory import resident_bytes
from service.spec.frames import FitJob, PhaseStarted
from service.training.wishes import Wishes
from service.training import order
from service.training.job import fit
from service.training.warmup import warm_up

order.MEMORY_BYTES = 64 * 1024 * 1024
order.WINDOW_CHUNKS = 16
process = psutil.Process()
peaks, phases = {}, ["before"]

def watch():
    while True:
        now = (process.memory_info().rss, resident_bytes(process.pid))
        before = peaks.get(phases[-1], (0, 0))
        peaks[phases[-1]] = tuple(map(max, now, before))
        time.sleep(0.02)

def report(frame):
    if isinstance(frame, PhaseStarted):
        phases.append(frame.phase)

warm_up()
baseline = (process.memory_info().rss, resident_bytes(process.pid))
threading.Thread(target=watch, daemon=True).start()
job = msgspec.json.decode(sys.argv[1], type=FitJob)
finished = fit(job, report, Wishes())
assert finished.outcome == "completed"
above = {name: [peak - base for peak, base in zip(peaks[name], baseline)] for name in peaks}
print(json.dumps(above))
"""


def store_large_arrays(folder: Path, rows: int) -> dict[str, str]:
    random = np.random.default_rng(0)
    paths = {name: str(folder / f"{name}.npy") for name in ("x", "y")}
    for name, shape in (("x", (rows, COLUMNS)), ("y", (rows, 1))):
        with Path(paths[name]).open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(0, rows, BLOCK_ROWS):
                file.write(random.random((BLOCK_ROWS, *shape[1:]), dtype=np.float32).data)
    return paths


def store_large_table(folder: Path, rows: int) -> dict[str, str]:
    """Numbers and texts in row groups of a few blocks."""
    random, path = np.random.default_rng(0), folder / "table.parquet"
    texts, writer = pa.array(["a", "b", "c"]), None
    for _ in range(0, rows, BLOCK_ROWS):
        columns = {f"number_{place}": random.random(BLOCK_ROWS) for place in range(COLUMNS - 4)}
        columns |= {f"text_{place}": texts.take(pa.array(random.integers(0, 3, BLOCK_ROWS))) for place in range(4)}
        group = pa.table({**columns, "y": random.random(BLOCK_ROWS)})
        writer = writer or pyarrow.parquet.ParquetWriter(path, group.schema, compression="zstd")
        writer.write_table(group)
    writer.close()
    return {"table": str(path)}


def memory_above_start(folder: Path, kind: str, rows: int) -> dict[str, list[int]]:
    """Bytes of all memory and of memory without mapped files, each at its highest, of every phase of a fit."""
    folder.mkdir()
    files = (store_large_arrays if kind == "arrays" else store_large_table)(folder, rows)
    job = make_job(
        folder / "job", DatasetFiles(kind=kind, files=files), target="y",
        definition={"layers": [{"type": "Dense", "units": 16, "activation": "relu"}, {"type": "Dense", "units": 1}]},
        compile={"optimizer": {"type": "Adam"}, "loss": {"type": "MeanSquaredError"}},
        fit={"epochs": 1, "batch_size": 1024, "validation_split": 0.1},
    )  # fmt: skip
    command = [sys.executable, "-c", CHILD, msgspec.json.encode(job).decode()]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    shutil.rmtree(folder)
    above: dict[str, list[int]] = json.loads(child.stdout.splitlines()[-1])
    return above


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process by its kinds")
@pytest.mark.parametrize(("kind", "few", "many"), [("arrays", 700_000, 1_700_000), ("table", 600_000, 1_300_000)])
def test_memory_is_bounded_whatever_the_number_of_rows(kind, few, many, tmp_path):
    """70 to 170 MB of encoded rows, of which 16 MB are shuffled at a time.

    What a phase has freed may stay with the process or not, so each is compared with the highest of all.
    """
    small, large = (memory_above_start(tmp_path / str(rows), kind, rows) for rows in (few, many))
    highest_of_few = [max(values) for values in zip(*small.values(), strict=True)]
    for phase in large:
        bounds = zip(highest_of_few, large[phase], MOST_BYTES, MOST_GROWTH_BYTES, strict=True)
        for bytes_of_few, bytes_of_many, bound, growth in bounds:
            assert bytes_of_many < bound, (phase, small, large)
            assert bytes_of_many - bytes_of_few < growth, (phase, small, large)
