"""Counting together: in real processes, since the metrics of one cannot be taken back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.infra.metrics import counting_alone, counting_together, forget_dead

COUNT = """
from service.infra.metrics import count_together, write_metrics
count_together()
from prometheus_client import Counter, Gauge
Gauge("living", "Living processes.", multiprocess_mode="livesum").set(1)
Counter("answers", "Answers.").inc()
print(write_metrics().decode())
"""


def count(environment: dict[str, str]) -> str:
    """What a process shows that counts once."""
    program = [sys.executable, "-c", COUNT]
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_processes_that_count_together_show_the_sum(tmp_path: Path) -> None:
    count({**os.environ, **counting_together(tmp_path, 1)})
    shown = count({**os.environ, **counting_together(tmp_path, 2)})
    assert "answers_total 2.0" in shown
    assert "living 2.0" in shown


def test_the_next_process_with_a_number_goes_on_counting_in_the_same_files(tmp_path: Path) -> None:
    count({**os.environ, **counting_together(tmp_path, 1)})
    files = sorted(tmp_path.iterdir())
    forget_dead(tmp_path, 1)
    shown = count({**os.environ, **counting_together(tmp_path, 1)})
    assert "answers_total 2.0" in shown
    assert "living 1.0" in shown
    assert sorted(tmp_path.iterdir()) == files


def test_the_gauges_of_a_dead_process_are_dropped_and_its_counters_are_not(tmp_path: Path) -> None:
    count({**os.environ, **counting_together(tmp_path, 1)})
    forget_dead(tmp_path, 1)
    shown = count({**os.environ, **counting_together(tmp_path, 2)})
    assert "answers_total 2.0" in shown
    assert "living 1.0" in shown


def test_a_child_of_another_kind_counts_alone(tmp_path: Path) -> None:
    shown = count(counting_alone({**os.environ, **counting_together(tmp_path, 1)}))
    assert "answers_total 1.0" in shown
    assert "process_cpu_seconds_total" in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["counter_2.db", "gauge_livesum_2.db"])
def test_a_file_that_another_process_is_making_is_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "answers_total 1.0" in count({**os.environ, **counting_together(tmp_path, 1)})
