"""Reads what a run has learnt from its ``weights.npz``, and no more of that file than is asked for. Knows no Keras."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import orjson
from sqlalchemy.orm import Session

from service.errors import InvalidInput, Problem
from service.infra.artifacts import ArtifactStore
from service.runs.results import find_result
from service.runs.tables import Run
from service.runs.weight_schemas import LayerRead, RunWeights, WeightRead
from service.spec.artifacts import WEIGHTS
from service.spec.base import suggest
from service.spec.weights import DOCUMENT, LayerSummary, WeightSummary, entry_name

MAX_TOTAL_VALUES = 1_000_000
"""Numbers of one answer, all weights together."""
SYMBOLS: dict[str, Literal["W", "b"]] = {"kernel": "W", "bias": "b"}

Npz = Any
"""An open ``.npz``: NumPy reads an entry when it is asked for it."""


@dataclass
class Wanted:
    """What a client wants to see; ``left`` is how many numbers still go into the answer."""

    layer: str | None
    max_values: int
    left: int = field(default=MAX_TOTAL_VALUES)

    def takes(self, count: int) -> bool:
        """Whether so many numbers are shown; they are counted then."""
        is_taken = count <= min(self.max_values, self.left)
        self.left -= count if is_taken else 0
        return is_taken


def read_weights(session: Session, store: ArtifactStore, run: Run, wanted: Wanted) -> RunWeights:
    """The wire form of a run's weights; ``values`` are arrays, which ``as_json`` writes as nested lists.

    Raises ResultNotReady, ResultNotFound, or InvalidInput on an unknown layer.
    """
    return RunWeights(run=run.id, layers=read_layers(find_result(session, store, run, WEIGHTS, "weights"), wanted))


def as_json(weights: RunWeights) -> bytes:
    """The answer's body: every number exactly, null for NaN and infinity."""
    return orjson.dumps(weights.model_dump(), option=orjson.OPT_SERIALIZE_NUMPY)


def read_layers(path: Path, wanted: Wanted) -> list[LayerRead]:
    """The wanted layers of a file. Raises FileNotFoundError, or InvalidInput on an unknown layer."""
    with np.load(path, allow_pickle=False) as file:
        layers = msgspec.json.decode(file[DOCUMENT].tobytes(), type=list[LayerSummary])
        return [_read_layer(file, layer, wanted) for layer in _choose(layers, wanted.layer)]


def _choose(layers: list[LayerSummary], name: str | None) -> list[LayerSummary]:
    if name is None:
        return layers
    chosen = [layer for layer in layers if layer.name == name]
    if not chosen:
        names = [layer.name for layer in layers]
        expected = f"one of {', '.join(map(repr, names))}"
        problem = Problem("?layer", f"The model has no layer '{name[:80]}'.", name[:80], expected, suggest(name[:80], names))
        raise InvalidInput(f"{problem.message} {problem.fix}", [problem])
    return chosen


def _read_layer(file: Npz, layer: LayerSummary, wanted: Wanted) -> LayerRead:
    weights = [_read_weight(file, layer.name, weight, wanted) for weight in layer.weights]
    return LayerRead(name=layer.name, type=layer.type, weights=weights)


def _read_weight(file: Npz, layer: str, weight: WeightSummary, wanted: Wanted) -> WeightRead:
    is_shown = wanted.takes(weight.count)
    return WeightRead(
        **msgspec.structs.asdict(weight),
        symbol=SYMBOLS.get(weight.name.rpartition("/")[2]),
        values=_plain(file[entry_name(layer, weight.name)]) if is_shown else None,
        is_truncated=not is_shown,
    )


def _plain(values: np.ndarray[Any, Any]) -> Any:
    """What orjson can write: it shortens float32, which reads back as another float64, and takes no array without axes."""
    exact = values.astype(np.float64) if values.dtype.kind == "f" else values
    return exact if exact.ndim else exact.item()
