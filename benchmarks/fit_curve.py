"""Speed and memory of a fit by its number of rows, measured and drawn."""

import math
import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fit_cases import table_of
from warm_trainer import MemoryWatch, WarmTrainer

SMALLEST_ROWS = 10_000

WIDTH, HEIGHT = 860, 350
PANEL_WIDTH, PANEL_HEIGHT, TOP = 310, 210, 78
SPEED_LEFT, MEMORY_LEFT = 80, 500
MOST_GRID_LINES = 5
STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d8dee4 } .axis { stroke: #59636e }
  text { fill: #1f2328; font: 13px system-ui, sans-serif } .title { font-weight: 600; font-size: 15px } .small { font-size: 12px }
  .line { fill: none; stroke-width: 2.5 } .goal { stroke: #cf222e; stroke-dasharray: 6 4; stroke-width: 1.5 }
  .first { stroke: #0969da; fill: #0969da } .second { stroke: #bc4c00; fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d } .grid { stroke: #2a313c } .axis { stroke: #9198a1 } text { fill: #f0f6fc }
    .goal { stroke: #ff7b72 } .first { stroke: #58a6ff; fill: #58a6ff } .second { stroke: #f0883e; fill: #f0883e }
  }
"""


@dataclass(frozen=True)
class Point:
    """What a fit of this many rows took."""

    rows: int
    rows_per_second: float
    encode_seconds: float
    warm_bytes: int
    """Resident memory of the warm trainer before the job."""
    peak_bytes: int
    """The highest resident memory during the job, over ``warm_bytes``."""
    anonymous_bytes: int
    """The same without mapped files."""


def measure_curve(max_rows: int, rounds: int, folder: Path, show: Callable[[Point], None]) -> list[Point]:
    """One point for each size, the smallest first; each round goes through all sizes."""
    found: dict[int, list[Point]] = {rows: [] for rows in sizes(max_rows)}
    for _ in range(rounds):
        for rows, points in found.items():
            points.append(measure(rows, folder / "data"))
            show(points[-1])
    return [combine(points) for points in found.values()]


def combine(points: list[Point]) -> Point:
    """Median times and the highest memory of several fits of one size."""
    return Point(
        rows=points[0].rows,
        rows_per_second=statistics.median(point.rows_per_second for point in points),
        encode_seconds=statistics.median(point.encode_seconds for point in points),
        warm_bytes=max(point.warm_bytes for point in points),
        peak_bytes=max(point.peak_bytes for point in points),
        anonymous_bytes=max(point.anonymous_bytes for point in points),
    )


def sizes(max_rows: int) -> list[int]:
    """1, 3, 10, 30, … times the smallest number of rows, and the largest one."""
    steps = (SMALLEST_ROWS * factor * 10**power for power in range(12) for factor in (1, 3))
    return [*(rows for rows in steps if rows < max_rows), max_rows]


def measure(rows: int, data: Path) -> Point:
    """Fit one epoch in a trainer that has not fitted anything else."""
    case = table_of(rows)
    case.write_data(data)
    with WarmTrainer() as trainer, MemoryWatch(trainer.pid) as memory:
        fitted = trainer.fit(case, data)
    shutil.rmtree(data)
    return Point(
        rows=rows,
        rows_per_second=case.samples / fitted.seconds["fitting"],
        encode_seconds=fitted.seconds["encoding"],
        warm_bytes=memory.before.total,
        peak_bytes=memory.peak.total - memory.before.total,
        anonymous_bytes=memory.peak.anonymous - memory.before.anonymous,
    )


def draw(points: list[Point], memory_goal_bytes: float, path: Path) -> None:
    """Draw both curves as SVG: rows on a logarithmic axis, on a card of its own for light and dark pages."""
    speeds = [point.rows_per_second / 1e3 for point in points]
    peaks = [point.peak_bytes / 1e6 for point in points]
    anonymous = [point.anonymous_bytes / 1e6 for point in points]
    goal = memory_goal_bytes / 1e6
    speed = Panel(SPEED_LEFT, "Speed inside fit", "thousand rows per second", points, max(speeds))
    memory = Panel(MEMORY_LEFT, "Peak memory over the warm trainer", "MB", points, max(*peaks, *anonymous, goal))
    parts = [
        *speed.frame(),
        *speed.curve(speeds, "first"),
        *memory.frame(),
        *memory.level(goal, f"goal: {goal:,.0f} MB"),
        *memory.curve(peaks, "first"),
        *memory.curve(anonymous, "second"),
        *memory.legend({"first": "resident", "second": "without mapped files"}),
    ]
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
    title = f"<title>Speed and memory of a fit by its number of rows, up to {points[-1].rows:,}</title>"
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>'
    path.write_text(f"{head}\n{title}\n<style>{STYLE}</style>\n{card}\n{body}\n</svg>\n")


@dataclass(frozen=True)
class Panel:
    """A pair of axes: rows (logarithmic) to the right, values from 0 up to at least ``highest``."""

    left: int
    title: str
    unit: str
    points: list[Point]
    highest: float

    @property
    def step(self) -> float:
        """Between two grid lines: 1, 2 or 5 times a power of ten."""
        rough = self.highest / MOST_GRID_LINES
        power = 10.0 ** math.floor(math.log10(rough))
        return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)

    @property
    def grid_lines(self) -> int:
        """Lines above the axis; the uppermost one is the panel's top."""
        return math.ceil(self.highest / self.step)

    def x(self, rows: float) -> float:
        first, last = math.log10(self.points[0].rows), math.log10(self.points[-1].rows)
        return self.left + PANEL_WIDTH * ((math.log10(rows) - first) / (last - first) if last > first else 0.5)

    def y(self, value: float) -> float:
        return TOP + PANEL_HEIGHT * (1 - value / (self.step * self.grid_lines))

    def frame(self) -> list[str]:
        """Title, grid, axes and their labels."""
        right, bottom = self.left + PANEL_WIDTH, TOP + PANEL_HEIGHT
        parts = [text(self.left, 30, self.title, "title"), text(self.left, 50, self.unit, "small")]
        for number in range(self.grid_lines + 1):
            y = self.y(number * self.step)
            parts.append(line(self.left, y, right, y, "grid" if number else "axis"))
            parts.append(text(self.left - 8, y + 4, f"{number * self.step:,.10g}", "small", "end"))
        for power in range(math.ceil(math.log10(self.points[0].rows)), math.floor(math.log10(self.points[-1].rows)) + 1):
            x = self.x(10**power)
            parts.append(line(x, bottom, x, bottom + 5, "axis"))
            parts.append(text(x, bottom + 20, short(10**power), "small", "middle"))
        return [*parts, text((self.left + right) / 2, bottom + 42, "rows (logarithmic)", "small", "middle")]

    def curve(self, values: list[float], name: str) -> list[str]:
        """A line with a dot for each size."""
        places = [(self.x(point.rows), self.y(value)) for point, value in zip(self.points, values, strict=True)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = [f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        return [f'<polyline class="line {name}" style="fill: none" points="{joined}"/>', *dots]

    def level(self, value: float, label: str) -> list[str]:
        """A dashed line across, with its label above."""
        y = self.y(value)
        return [line(self.left, y, self.left + PANEL_WIDTH, y, "goal"), text(self.left + 6, y - 6, label, "small")]

    def legend(self, names: dict[str, str]) -> list[str]:
        """What the colours mean, beside the unit."""
        parts = []
        for number, (name, label) in enumerate(names.items()):
            x = self.left + 60 + 90 * number
            parts += [f'<circle class="{name}" cx="{x}" cy="46" r="4.5"/>', text(x + 10, 50, label, "small")]
        return parts


def text(x: float, y: float, content: str, name: str, anchor: str = "start") -> str:
    """A text at a place."""
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """A straight line."""
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def short(rows: int) -> str:
    """10k, 1M."""
    return f"{rows // 1_000_000}M" if rows >= 1_000_000 else f"{rows // 1000}k" if rows >= 1000 else str(rows)
