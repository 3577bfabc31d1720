"""Answers predictions: find the version, encode what was asked, run the engine. Knows no wire protocol."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.features.raw import Array
from service.features.requests import Encoded, RequestEncoder
from service.predictions.engines import Engines, Servable
from service.predictions.lookup import Lookup
from service.predictions.versions import ListedVersion, Selector
from service.serving.engine import Engine
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
    """How many it seems to have, which decides where it is answered; a header of CSV may count as one."""
    body_bytes: int
    """Size of the body that it came in."""


class Outcome(NamedTuple):
    """What an engine said about some rows."""

    servable: Servable
    outputs: list[Array]
    """One array per output of the model, each ``(rows, …)``."""
    warnings: list[str]


Write = Callable[[Outcome], Result]
"""Puts an outcome into the form of a protocol."""


class Asked(NamedTuple, Generic[Result]):
    """A request that has been read: which version is meant, what shall be said, and how it is put."""

    selector: Selector
    question: Question
    write: Write[Result]


class Inquiry(Protocol):
    """Who asks, and what is noted about the answer."""

    workspace_id: str
    stages: Stages
    servable: Servable | None
    """The version that answers, as soon as it is known."""


class PredictionService:
    """Everything between the bytes of a request and the bytes of its answer, except what they look like."""

    def __init__(self, lookup: Lookup, engines: Engines, workbench: Workbench) -> None:
        self._lookup = lookup
        self._engines = engines
        self._workbench = workbench
        self._beside = Workbench(BESIDE_THREADS, timeout_seconds=workbench.timeout_seconds)

    def close(self) -> None:
        """Let the threads end."""
        self._workbench.close()
        self._beside.close()

    def has_room_for(self, body_bytes: int) -> bool:
        """Whether a body of this size may be read; whoever hears no has to be refused."""
        return body_bytes <= INLINE_BYTES or self._workbench.has_room()

    async def read(self, stages: Stages, parse: Callable[[], Result], body_bytes: int) -> Result:
        """``parse()``, which reads a body of this size. Raises TooManyRequests or DeadlineExceeded."""
        if body_bytes > INLINE_BYTES:
            return await self._workbench.run(lambda: self.read_now(stages, parse), stages)
        return self.read_now(stages, parse)

    async def find(self, workspace_id: str, model: str, selector: Selector) -> Servable:
        """The version that is meant. Raises NotFound or Unavailable."""
        return self._lookup.recall(workspace_id, model, selector) or await self._lookup.find(workspace_id, model, selector)

    def recall(self, workspace_id: str, model: str, selector: Selector) -> Servable | None:
        """The version that is meant, where its engine is at hand and answers at once."""
        servable = self._lookup.recall(workspace_id, model, selector)
        engine = self._engines.loaded(servable) if servable is not None else None
        return servable if engine is not None and engine.inline_rows else None

    def read_now(self, stages: Stages, parse: Callable[[], Result]) -> Result:
        """``parse()``, which reads a short body."""
        started = perf_counter()
        result = parse()
        stages.decode = perf_counter() - started
        return result

    def predict_now(self, stages: Stages, servable: Servable, question: Question, write: Write[Result]) -> Result | None:
        """The answer to a question as ``predict`` gives it; None where it takes longer than the event loop may wait."""
        engine = self._engines.loaded(servable)
        if engine is None or question.rows > engine.inline_rows:
            return None
        return _Prediction(stages, servable, engine.engine, question, write).answer()

    async def list_versions(self, workspace_id: str) -> Sequence[ListedVersion]:
        """All versions of a workspace. Raises Unavailable."""
        return await self._lookup.list_versions(workspace_id)

    def is_served(self, engine: str) -> bool:
        """Whether this process can run engines of this kind."""
        return self._engines.can_run(engine)

    async def answer(self, inquiry: Inquiry, model: str, ask: Callable[[], Asked[Result]], body_bytes: int) -> Result:
        """The answer to what ``ask()`` reads from a body of this size; it may be called in a thread.

        Raises what ``ask`` raises, NotFound, and what ``predict`` raises.
        """
        if body_bytes > INLINE_BYTES:
            asked, answer = await self._workbench.run(lambda: self._answer_in_thread(inquiry, model, ask), inquiry.stages)
            if answer is not None:
                return answer
        else:
            asked = self.read_now(inquiry.stages, ask)
        inquiry.servable = await self.find(inquiry.workspace_id, model, asked.selector)
        return await self.predict(inquiry.stages, inquiry.servable, asked.question, asked.write)

    def _answer_in_thread(
        self, inquiry: Inquiry, model: str, ask: Callable[[], Asked[Result]]
    ) -> tuple[Asked[Result], Result | None]:
        """What is asked, and the answer where the version is at hand: going back to the event loop would cost time under load."""
        asked = self.read_now(inquiry.stages, ask)
        servable = self._lookup.recall(inquiry.workspace_id, model, asked.selector)
        engine = self._engines.loaded(servable) if servable is not None else None
        if servable is None or engine is None or not engine.engine.runs_inline:
            return asked, None
        inquiry.servable = servable
        return asked, _Prediction(inquiry.stages, servable, engine.engine, asked.question, asked.write).answer()

    async def predict(self, stages: Stages, servable: Servable, question: Question, write: Write[Result]) -> Result:
        """The answer to a question, as ``write`` puts it.

        Raises InvalidInput, Unavailable, TooManyRequests or DeadlineExceeded.
        """
        engine = self._engines.loaded(servable) or await self._engines.engine_of(servable)
        prediction = _Prediction(stages, servable, engine.engine, question, write)
        if not engine.engine.runs_inline:
            return await self._beside.run(prediction.answer, stages)
        if question.body_bytes > INLINE_BYTES:
            return await self._workbench.run(prediction.answer, stages, goes_on=True)
        if question.rows <= engine.inline_rows:
            return prediction.answer()
        inputs, warnings = prediction.encode()
        if engine.batcher is not None:
            outputs = await engine.batcher.run(inputs, stages)
        else:
            outputs = await self._workbench.run(lambda: prediction.compute(inputs), stages)
        return prediction.write(outputs, warnings)


class _Prediction(Generic[Result]):
    """One question on its way through an engine; notes how long each stage takes."""

    __slots__ = ("_engine", "_question", "_servable", "_stages", "_write")

    def __init__(self, stages: Stages, servable: Servable, engine: Engine, question: Question, write: Write[Result]) -> None:
        self._stages = stages
        self._servable = servable
        self._engine = engine
        self._question = question
        self._write = write

    def answer(self) -> Result:
        """All stages, one after the other."""
        inputs, warnings = self.encode()
        return self.write(self.compute(inputs), warnings)

    def encode(self) -> tuple[dict[str, Array], list[str]]:
        """The inputs of the engine, and warnings. Raises InvalidInput."""
        started = perf_counter()
        tensors, warnings = self._question.encode(self._servable.encoder)
        self._stages.encode = perf_counter() - started
        self._stages.rows = self._stages.batch_rows = len(tensors[0])
        return dict(zip(self._servable.input_names, tensors, strict=True)), warnings

    def compute(self, inputs: dict[str, Array]) -> list[Array]:
        """The outputs of the engine."""
        started = perf_counter()
        outputs = self._engine.run(inputs, self._servable.output_names)
        self._stages.compute = perf_counter() - started
        return outputs

    def write(self, outputs: list[Array], warnings: list[str]) -> Result:
        """The answer."""
        started = perf_counter()
        answer = self._write(Outcome(self._servable, outputs, warnings))
        self._stages.write = perf_counter() - started
        return answer
