"""A warm trainer as a worker has one, timed phase by phase from this end of the pipe. Reads /proc, so it needs Linux."""

import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from fit_cases import Case

from service.spec.frames import (
    DatasetFiles,
    Failed,
    Finished,
    FitJob,
    PhaseStarted,
    Planned,
    Report,
    read_frame,
    report_decoder,
    write_frame,
)

DEADLINE_SECONDS = 600.0
STOP_SECONDS = 10.0
SAMPLE_SECONDS = 0.05
MAX_PARAMETERS = 100_000_000
LOG_END_CHARACTERS = 2000


@dataclass(frozen=True)
class Fitted:
    """What one job cost, and how much work its fit was."""

    seconds: dict[str, float]
    """By phase: from its beginning to that of the next one, or to the end of the job."""
    work: dict[str, int]
    """Parameters of the model, and steps of all epochs."""


class WarmTrainer:
    """A trainer process of its own; it has loaded TensorFlow and fitted its tiny model when the ``with`` block begins."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fitserve-bench-")
        self._log = Path(self._folder.name, "trainer.log")
        self._jobs = itertools.count(1)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.training"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=os.environ | {"FITSERVE_TRAINER_THREADS": str(os.cpu_count() or 1)},
            )  # fmt: skip
        with self._deadline():
            self._receive()  # that it is ready
        return self

    def __exit__(self, *error: object) -> None:
        cast(Any, self._process.stdin).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        cast(Any, self._process.stdout).close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Process id of the trainer."""
        return self._process.pid

    def fit(self, case: Case, data: Path) -> Fitted:
        """Fit a new model from end to end, without publishing it. Raises RuntimeError when the job fails."""
        number = next(self._jobs)
        directory = Path(self._folder.name, f"job_{number}")
        directory.mkdir()
        with self._deadline():
            write_frame(cast(Any, self._process.stdin), _job(case, data, directory, number))
            return self._follow()

    def _follow(self) -> Fitted:
        """Read every frame of the job and note when a phase begins."""
        marks: list[tuple[str, float]] = []
        work: dict[str, int] = {}
        while True:
            report, now = self._receive(), time.perf_counter()
            match report:
                case PhaseStarted(phase=phase):
                    marks.append((phase, now))
                case Planned():
                    work = {"parameters": report.parameters, "steps": report.steps * report.epochs}
                case Finished():
                    return Fitted(_seconds_by_phase([*marks, ("", now)]), work)
                case Failed():
                    raise RuntimeError(f"The job failed. {report.message} {report.hint}")

    def _receive(self) -> Report:
        report = read_frame(cast(Any, self._process.stdout), report_decoder)
        if report is None:
            end = self._log.read_text(errors="replace")[-LOG_END_CHARACTERS:]
            raise RuntimeError(f"The trainer ended with {self._process.wait()}.\n{end}")
        return report

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[None]:
        """Kill a trainer that hangs: its pipe then closes, and who reads it is told."""
        timer = threading.Timer(DEADLINE_SECONDS, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@dataclass
class Memory:
    """Resident memory in bytes; ``anonymous`` leaves mapped files out, which the kernel may drop at any time."""

    total: int = 0
    anonymous: int = 0

    @classmethod
    def of(cls, pid: int) -> Self:
        """What a process uses now."""
        status = Path(f"/proc/{pid}/status").read_text()
        sizes = [int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) * 1024 for name in ("VmRSS", "RssAnon")]
        return cls(*sizes)

    def rise_to(self, other: "Memory") -> None:
        """Take the larger value of each."""
        self.total, self.anonymous = max(self.total, other.total), max(self.anonymous, other.anonymous)


@dataclass
class MemoryWatch:
    """Looks at a process twenty times a second while the ``with`` block lasts."""

    pid: int
    before: Memory = field(init=False)
    peak: Memory = field(init=False)

    def __enter__(self) -> Self:
        self.before, self.peak = Memory.of(self.pid), Memory.of(self.pid)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            with contextlib.suppress(OSError, IndexError):  # a process that ends has no numbers any more
                self.peak.rise_to(Memory.of(self.pid))


def _job(case: Case, data: Path, directory: Path, number: int) -> FitJob:
    return FitJob(
        run_id=f"run_{number}",
        attempt=1,
        directory=str(directory),
        definition=case.definition,
        compile=case.compile,
        fit=case.fit,
        features={},
        dataset=DatasetFiles(kind="arrays", files={name: str(data / f"{name}.npy") for name in ("x", "y")}),
        target="y",
        seed=number,
        publish=False,
        max_parameters=MAX_PARAMETERS,
    )


def _seconds_by_phase(marks: list[tuple[str, float]]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for (phase, began), (_, ended) in itertools.pairwise(marks):
        seconds[phase] = seconds.get(phase, 0.0) + ended - began
    return seconds
