"""Answers predictions: find the version, encode what was asked, run the engine. Knows no wire protocol."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from service.features.requests import Encoded, RequestEncoder
from service.predictions.engines import Engines, LoadedEngine, Servable
from service.predictions.lookup import Lookup
from service.predictions.versions import ListedVersion, Selector
from service.serving.stages import Stages
from service.serving.workbench import INLINE_BYTES, INLINE_SECONDS, Workbench

Result = TypeVar("Result")


@dataclass(frozen=True)
class Question:
    """What somebody wants to know."""

    encode: Callable[[RequestEncoder], Encoded]
    """Makes the tensors. Raises InvalidInput."""
    rows: int
    body_bytes: int
    """Size of the body that it came in."""


@dataclass(frozen=True)
class Outcome:
    """What an engine said about some rows."""

    servable: Servable
    outputs: list[np.ndarray[Any, Any]]
    """One array per output of the model, each ``(rows, …)``."""
    warnings: list[str]


class PredictionService:
    """Everything between the bytes of a request and the bytes of its answer, except what they look like."""

    def __init__(self, lookup: Lookup, engines: Engines, workbench: Workbench) -> None:
        self._lookup = lookup
        self._engines = engines
        self._workbench = workbench

    async def read(self, stages: Stages, parse: Callable[[], Result], body_bytes: int) -> Result:
        """``parse()``, which reads a body of this size. Raises TooManyRequests or DeadlineExceeded."""

        def timed() -> Result:
            started = time.perf_counter()
            result = parse()
            stages.decode = time.perf_counter() - started
            return result

        return timed() if body_bytes <= INLINE_BYTES else await self._workbench.run(timed, stages)

    async def find(self, workspace_id: str, model: str, selector: Selector) -> Servable:
        """The version that is meant. Raises NotFound or Unavailable."""
        return await self._lookup.find(workspace_id, model, selector)

    async def list_versions(self, workspace_id: str) -> Sequence[ListedVersion]:
        """All versions of a workspace. Raises Unavailable."""
        return await self._lookup.list_versions(workspace_id)

    def is_served(self, engine: str) -> bool:
        """Whether this process can run engines of this kind."""
        return self._engines.can_run(engine)

    async def predict(self, stages: Stages, servable: Servable, question: Question, write: Callable[[Outcome], Result]) -> Result:
        """The answer to a question, as ``write`` puts it.

        Raises InvalidInput, Unavailable, TooManyRequests or DeadlineExceeded.
        """
        engine = await self._engines.engine_of(servable)
        stages.rows = stages.batch_rows = question.rows
        if question.body_bytes > INLINE_BYTES:
            return await self._workbench.run(lambda: _answer(stages, servable, engine, question, write), stages)
        started = time.perf_counter()
        tensors, warnings = question.encode(servable.encoder)
        stages.encode = time.perf_counter() - started
        outputs = await self._run(stages, engine, servable, servable.named(tensors), question.rows)
        return _written(stages, Outcome(servable, outputs, warnings), write)

    async def _run(
        self, stages: Stages, engine: LoadedEngine, servable: Servable, inputs: dict[str, Any], rows: int
    ) -> list[Any]:
        if engine.batcher is not None:
            return await engine.batcher.run(inputs, rows, stages)
        if engine.cost.seconds(rows) <= INLINE_SECONDS:
            return _computed(stages, engine, servable, inputs)
        return await self._workbench.run(lambda: _computed(stages, engine, servable, inputs), stages)


def _answer(
    stages: Stages, servable: Servable, engine: LoadedEngine, question: Question, write: Callable[[Outcome], Result]
) -> Result:
    started = time.perf_counter()
    tensors, warnings = question.encode(servable.encoder)
    stages.encode = time.perf_counter() - started
    outputs = _computed(stages, engine, servable, servable.named(tensors))
    return _written(stages, Outcome(servable, outputs, warnings), write)


def _computed(stages: Stages, engine: LoadedEngine, servable: Servable, inputs: dict[str, Any]) -> list[Any]:
    started = time.perf_counter()
    outputs = engine.run(inputs, servable.output_names)
    stages.compute = time.perf_counter() - started
    return outputs


def _written(stages: Stages, outcome: Outcome, write: Callable[[Outcome], Result]) -> Result:
    started = time.perf_counter()
    answer = write(outcome)
    stages.write = time.perf_counter() - started
    return answer
