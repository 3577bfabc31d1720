"""Checks small models with their data as a fit does, between building and fitting."""

from typing import Any

import numpy as np

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.training.building import as_model, check_outputs
from service.training.checks import check_examples
from service.training.examples import Examples, Part
from tests.unit.training.conftest import make_examples

BINARY, SPARSE, CATEGORICAL = "BinaryCrossentropy", "SparseCategoricalCrossentropy", "CategoricalCrossentropy"
SQUARED = "MeanSquaredError"
ROWS = 12
PLACES = np.arange(ROWS) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[PLACES]
NUMBERS = np.linspace(-1, 1, ROWS)[:, None]
IMAGES = np.zeros((ROWS, 4, 4, 3), np.float32)
TARGETS = {BINARY: PLACES[:, None] % 2, SPARSE: PLACES[:, None], CATEGORICAL: ONE_HOT}


def dense(units: int, activation: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": units, "activation": activation, "name": "last"} | fields


def check(
    layers: list[dict[str, Any]],
    loss: Any,
    y: np.ndarray | None = None,
    metrics: Any = (),
    x: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> None:
    """All that is checked between building and fitting."""
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": loss, "metrics": list(metrics)})
    x = np.random.default_rng(0).random((ROWS, 4), dtype=np.float32) if x is None else x
    y = TARGETS[compile_spec.loss.type] if y is None else y
    examples = make_examples(
        x, y.astype(np.int32) if compile_spec.loss.target_encoding == "index" else y.astype(np.float32), ROWS, compile_spec.loss
    )
    part = Part(examples.train.inputs, examples.train.targets, sample_weight)
    check_whole(layers, compile_spec, Examples(part, None, examples.about))


def check_whole(layers: list[dict[str, Any]], compile_spec: CompileSpec, examples: Examples) -> None:
    definition = Definition.model_validate({"layers": layers})
    model = as_model(definition, examples.train.input_shapes)
    check_outputs(model, examples.targets, [truth.shape[1:] for truth in examples.train.targets])
    check_examples(definition, compile_spec, model, examples)


def logits(loss: str) -> dict[str, Any]:
    return {"type": loss, "from_logits": True}
