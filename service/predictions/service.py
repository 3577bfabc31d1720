"""Answers predictions: find the version, encode what was asked, run the engine. Knows no wire protocol."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, TypeVar

from service.features.raw import Array
from service.features.requests import Encoded, RequestEncoder
from service.predictions.engines import Engines, LoadedEngine, Servable
from service.predictions.lookup import Lookup
from service.predictions.versions import ListedVersion, Selector
from service.serving.stages import Stages
from service.serving.workbench import INLINE_BYTES, Workbench

Result = TypeVar("Result")

BESIDE_THREADS = 2
"""Threads that wait for engines in other processes: while one is answered, the rows of the next are encoded."""


class Question(NamedTuple):
    """What somebody wants to know."""

    encode: Callable[[RequestEncoder], Encoded]
    """Makes the tensors. Raises InvalidInput."""
    rows: int
    body_bytes: int
    """Size of the body that it came in."""


class Outcome(NamedTuple):
    """What an engine said about some rows."""

    servable: Servable
    outputs: list[Array]
    """One array per output of the model, each ``(rows, …)``."""
    warnings: list[str]


class PredictionService:
    """Everything between the bytes of a request and the bytes of its answer, except what they look like."""

    def __init__(self, lookup: Lookup, engines: Engines, workbench: Workbench) -> None:
        self._lookup = lookup
        self._engines = engines
        self._workbench = workbench
        self._beside = Workbench(BESIDE_THREADS, timeout_seconds=workbench.timeout_seconds)

    async def read(self, stages: Stages, parse: Callable[[], Result], body_bytes: int) -> Result:
        """``parse()``, which reads a body of this size. Raises TooManyRequests or DeadlineExceeded."""
        if body_bytes > INLINE_BYTES:
            return await self._workbench.run(lambda: self.read_now(stages, parse), stages)
        return self.read_now(stages, parse)

    async def find(self, workspace_id: str, model: str, selector: Selector) -> Servable:
        """The version that is meant. Raises NotFound or Unavailable."""
        return self._lookup.recall(workspace_id, model, selector) or await self._lookup.find(workspace_id, model, selector)

    def recall(self, workspace_id: str, model: str, selector: Selector) -> tuple[Servable, LoadedEngine] | None:
        """The version that is meant and its engine, where it answers at once."""
        servable = self._lookup.recall(workspace_id, model, selector)
        engine = self._engines.loaded(servable) if servable is not None else None
        return (servable, engine) if servable is not None and engine is not None and engine.inline_rows else None

    def read_now(self, stages: Stages, parse: Callable[[], Result]) -> Result:
        """``parse()``, which reads a short body."""
        started = perf_counter()
        result = parse()
        stages.decode = perf_counter() - started
        return result

    def predict_now(
        self,
        stages: Stages,
        servable: Servable,
        engine: LoadedEngine,
        question: Question,
        write: Callable[[Outcome], Result],
    ) -> Result | None:
        """The answer to a question as ``predict`` gives it; None where it takes longer than the event loop may wait."""
        if question.rows > engine.inline_rows:
            return None
        stages.rows = stages.batch_rows = question.rows
        return _answer(stages, servable, engine, question, write)

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
        engine = self._engines.loaded(servable) or await self._engines.engine_of(servable)
        stages.rows = stages.batch_rows = question.rows
        if not engine.engine.runs_inline:
            return await self._beside.run(lambda: _answer(stages, servable, engine, question, write), stages)
        if question.body_bytes > INLINE_BYTES:
            return await self._workbench.run(lambda: _answer(stages, servable, engine, question, write), stages)
        if question.rows <= engine.inline_rows:
            return _answer(stages, servable, engine, question, write)
        inputs, warnings = _encode(stages, servable, question)
        if engine.batcher is not None:
            outputs = await engine.batcher.run(inputs, stages)
        else:
            outputs = await self._workbench.run(lambda: _compute(stages, servable, engine, inputs), stages)
        return _write(stages, Outcome(servable, outputs, warnings), write)


def _answer(
    stages: Stages, servable: Servable, engine: LoadedEngine, question: Question, write: Callable[[Outcome], Result]
) -> Result:
    started = perf_counter()
    tensors, warnings = question.encode(servable.encoder)
    encoded = perf_counter()
    outputs = engine.engine.run(dict(zip(servable.input_names, tensors, strict=True)), servable.output_names)
    computed = perf_counter()
    answer = write(Outcome(servable, outputs, warnings))
    stages.encode, stages.compute, stages.write = encoded - started, computed - encoded, perf_counter() - computed
    return answer


def _encode(stages: Stages, servable: Servable, question: Question) -> tuple[dict[str, Array], list[str]]:
    started = perf_counter()
    tensors, warnings = question.encode(servable.encoder)
    stages.encode = perf_counter() - started
    return dict(zip(servable.input_names, tensors, strict=True)), warnings


def _compute(stages: Stages, servable: Servable, engine: LoadedEngine, inputs: dict[str, Array]) -> list[Array]:
    started = perf_counter()
    outputs = engine.engine.run(inputs, servable.output_names)
    stages.compute = perf_counter() - started
    return outputs


def _write(stages: Stages, outcome: Outcome, write: Callable[[Outcome], Result]) -> Result:
    started = perf_counter()
    answer = write(outcome)
    stages.write = perf_counter() - started
    return answer
