"""Prometheus metrics of one process, or of several that count together since they answer at one address.

Those share a folder with files that carry the process's number. The next process with that number goes on counting in
them, so that counters never fall and no files pile up.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
NUMBER_VARIABLE = "FITSERVE_API_NUMBER"


def counting_together(folder: Path, number: int) -> dict[str, str]:
    """Environment by which a child counts together with others; no two of them may live with the same number."""
    return {FOLDER_VARIABLE: str(folder), NUMBER_VARIABLE: str(number)}


def count_together() -> None:
    """Do so if the environment says so; to be called before the first metric is made."""
    number = os.environ.get(NUMBER_VARIABLE)
    if number is not None:
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]  # it has no types


def counting_alone(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child that is no API process, and must not count as the one that starts it."""
    return {name: value for name, value in environment.items() if name not in (FOLDER_VARIABLE, NUMBER_VARIABLE)}


def forget_dead(folder: Path, number: int) -> None:
    """Drop the gauges of a process that has ended; what it has counted stays."""
    mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]  # it has no types


def write_metrics() -> bytes:
    """The metrics of this process, or of all that count together, in Prometheus's text format."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return generate_latest()
    registry = CollectorRegistry()
    registry.register(_Together(Path(folder)))
    return generate_latest(registry)


class _Together(Collector):
    """The metrics of all files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # prometheus_client's own collector fails on a file that another process is making at that moment.
        files = [str(path) for path in self._folder.glob("*.db") if _has_content(path)]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # it has no types
        return metrics


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # its process is dead
        return False
