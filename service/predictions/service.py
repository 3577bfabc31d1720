"""Answers predictions: find the version, encode the rows, run the engine. Knows no wire protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from service.features.encoding import encode_rows
from service.predictions.engines import Engines, Servable
from service.predictions.lookup import Lookup
from service.predictions.versions import Selector
from service.predictions.workbench import Workbench

Result = TypeVar("Result")


ENGINES_BESIDE_THREADS = 2
"""Threads that wait for engines in other processes: while one is answered, the rows of the next are encoded."""


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
        self._beside = Workbench(ENGINES_BESIDE_THREADS)

    async def read(self, parse: Callable[[], Result], body_bytes: int) -> Result:
        """``parse()``, which reads a body of this size. Raises TooManyRequests."""
        return await self._workbench.run(parse, body_bytes)

    async def find(self, workspace_id: str, model: str, selector: Selector) -> Servable:
        """The version that is meant. Raises NotFound or Unavailable."""
        return await self._lookup.find(workspace_id, model, selector)

    def is_served(self, servable: Servable) -> bool:
        """Whether this host can answer with the version."""
        return self._engines.can_serve(servable.version)

    async def predict(
        self, servable: Servable, rows: list[Any], pointer: str, write: Callable[[Outcome], bytes], body_bytes: int
    ) -> bytes:
        """The answer for raw rows, as ``write`` puts it; ``pointer`` says where the rows stood in a body of this size.

        Raises InvalidInput, Unavailable or TooManyRequests.
        """
        engine = await self._engines.engine_of(servable)

        def compute() -> bytes:
            tensors, warnings = encode_rows(servable.plan, rows, pointer)
            outputs = engine.run(servable.named(tensors), servable.plan.output_names)
            return write(Outcome(servable, outputs, warnings))

        workbench = self._workbench if engine.runs_inline else self._beside
        operations = len(rows) * servable.version.parameters
        return await workbench.run(compute, body_bytes, operations, may_run_inline=engine.runs_inline)
