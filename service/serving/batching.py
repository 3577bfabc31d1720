"""Runs the rows of concurrent requests together, where the engine gains from it. Knows no HTTP and no database."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.serving.engine import Array, Engine
from service.serving.measuring import Cost
from service.serving.stages import Stages
from service.serving.workbench import INLINE_SECONDS, Workbench, too_busy

SHORTEST_BATCH = 2
"""A batch may take as many times what one row takes, however short waits shall be: the rows of larger models cost little more."""


@dataclass
class _Waiting:
    """One request's rows, and who waits for their outputs."""

    inputs: Mapping[str, Array]
    rows: int
    stages: Stages
    since: float
    done: "asyncio.Future[list[Array]]"


class Batcher:
    """Collects requests while the engine is busy, or for one turn of the event loop; nobody waits longer for company.

    For one event loop. All requests must ask for the same outputs. While more is asked than the engine can answer, both a batch
    and what waits for it are kept short.
    """

    def __init__(
        self,
        engine: Engine,
        names: Sequence[str],
        cost: Cost,
        workbench: Workbench,
        max_rows: int,
        longest_wait_seconds: float,
    ) -> None:
        """``names``: the outputs. At most ``max_rows`` rows run together; a larger request runs by itself.

        While more is asked than can be answered, nobody waits for more rows than are computed in ``longest_wait_seconds``.
        """
        self._engine = engine
        self._names = list(names)
        self._cost = cost
        self._workbench = workbench
        self._max_rows = max_rows
        self._limit = workbench.limit(overloaded=0)
        self._longest_seconds = max(longest_wait_seconds, SHORTEST_BATCH * cost.first_seconds)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._is_due = False
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, inputs: Mapping[str, Array], stages: Stages) -> list[Array]:
        """The outputs for these rows alone. Raises TooManyRequests, DeadlineExceeded, or what the engine raises."""
        if not (self._is_soon(self._waiting_rows) or self._limit.takes(len(self._waiting))):
            raise too_busy()
        loop = asyncio.get_running_loop()
        rows = len(next(iter(inputs.values())))
        waiting = _Waiting(inputs, rows, stages, time.perf_counter(), loop.create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._flush)
        return await self._workbench.in_time(waiting.done)

    def _flush(self) -> None:
        self._is_due = False
        while self._waiting and self._running < self._workbench.threads:
            batch, rows = self._take()
            if not batch:
                continue
            if self._cost.seconds(rows) <= INLINE_SECONDS:
                self._compute(batch, rows)
                continue
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._compute_in_thread(batch, rows))
            self._tasks.add(task)  # the event loop itself holds tasks only weakly
            task.add_done_callback(self._end)

    def _take(self) -> tuple[list[_Waiting], int]:
        """The next requests that fit together, without those that nobody waits for any more, or in vain."""
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting and (not batch or self._fit_together(rows + self._waiting[0].rows)):
            waiting = self._waiting.popleft()
            self._waiting_rows -= waiting.rows
            if waiting.done.done():
                continue
            if self._limit.has_given_up(waiting.since):
                waiting.done.set_exception(too_busy())
                continue
            batch.append(waiting)
            rows += waiting.rows
        return batch, rows

    def _fit_together(self, rows: int) -> bool:
        return rows <= self._max_rows and (self._is_soon(rows) or not self._limit.is_overloaded)

    def _is_soon(self, rows: int) -> bool:
        """Whether so many rows are computed in so short a time that others may wait for them."""
        batches, rest = divmod(rows, self._max_rows)
        seconds = batches * self._cost.seconds(self._max_rows) + (self._cost.seconds(rest) if rest else 0.0)
        return seconds <= self._longest_seconds

    async def _compute_in_thread(self, batch: list[_Waiting], rows: int) -> None:
        try:
            outputs = await self._workbench.run(lambda: self._run(batch, rows), Stages())
        except Exception as error:
            _fail(batch, error)
        else:
            _share(batch, outputs)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._running -= 1
        self._flush()

    def _compute(self, batch: list[_Waiting], rows: int) -> None:
        try:
            outputs = self._run(batch, rows)
        except Exception as error:
            _fail(batch, error)
        else:
            _share(batch, outputs)

    def _run(self, batch: list[_Waiting], rows: int) -> list[Array]:
        started = time.perf_counter()
        outputs = self._engine.run(_joined(batch), self._names)
        ended = time.perf_counter()
        for waiting in batch:
            waiting.stages.queue += started - waiting.since
            waiting.stages.compute = ended - started
            waiting.stages.batch_rows = rows
        return outputs


def _joined(batch: list[_Waiting]) -> Mapping[str, Array]:
    if len(batch) == 1:
        return batch[0].inputs
    return {name: np.concatenate([waiting.inputs[name] for waiting in batch]) for name in batch[0].inputs}


def _share(batch: list[_Waiting], outputs: list[Array]) -> None:
    """Give each request the outputs of its own rows."""
    start = 0
    for waiting in batch:
        end = start + waiting.rows
        if not waiting.done.done():
            waiting.done.set_result([output[start:end] for output in outputs])
        start = end


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error)
