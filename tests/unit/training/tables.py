"""Small tables and arrays, and what a run may ask of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInput
from service.spec.compile import CompileSpec
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.training import reading
from service.training.examples import Examples, Wanted, encode
from service.training.reading import load
from tests.unit.training.conftest import store_arrays, store_table

ROWS = 20
TABLE = {
    "age": [30.0, None, 41.5, 52.0] * 5,
    "rank": list(range(ROWS)),
    "city": ["Ulm", "Rome", None, "Ulm"] * 5,
    "grade": [1, 2, 3, None] * 5,
    "member": [True, False, None, True] * 5,
    "weight": [0.0, 1.0, 2.5, 3.0] * 5,
    "sick": ["no", "yes", "no", "maybe"] * 5,
}
FEATURES = {"columns": {"grade": {"type": "category"}, "rank": {"type": "number", "scale": "min_max"}}}
SPARSE, CATEGORICAL = "SparseCategoricalCrossentropy", "CategoricalCrossentropy"
BINARY, SQUARED = "BinaryCrossentropy", "MeanSquaredError"


def wanted(target: str | None, loss: str, features: dict[str, Any] | None = None, seed: int = 5, **fit: Any) -> Wanted:
    compiled = CompileSpec.model_validate({"optimizer": "sgd", "loss": loss})
    return Wanted(
        FeaturesSpec.model_validate(features or {}),
        target,
        ["input"],
        {"output": compiled.loss},
        FitSpec.model_validate(fit),
        seed,
    )


def stored(folder: Path, **columns: Any) -> reading.Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    if all(isinstance(values, np.ndarray) for values in columns.values()):
        return load(store_arrays(folder, **columns))
    return load(store_table(folder, columns))


def encoded(folder: Path, wish: Wanted, validation: dict[str, Any] | None = None, **columns: Any) -> Examples:
    dataset = stored(folder / "data", **(columns or TABLE))
    other = stored(folder / "validation", **validation) if validation is not None else None
    (folder / "encoded").mkdir()
    return encode(dataset, other, wish, folder / "encoded")


def refusal(folder: Path, *arguments: Any, **fields: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        encoded(folder, *arguments, **fields)
    assert caught.value.problems
    return caught.value
