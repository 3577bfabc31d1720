"""Measures a fitted model on encoded rows: Keras's own metrics, and the scores that people look at beside a baseline."""

from typing import Any

import keras
import numpy as np

from service.features.plan import Target
from service.infra.npy import release_pages
from service.training.callbacks import BeforeEvaluation, finite_or_none
from service.training.evaluation import Baseline, evaluate
from service.training.examples import Array, Part
from service.training.feeding import blocks_in_order, steps_of
from service.training.stepping import nothing, test_function
from service.training.wishes import Wishes

MAX_SCORED_ROWS = 1_000_000
"""Rows that the scores are of; Keras's metrics are of all."""
OUTPUT_ROWS = 4096
"""Rows of which the model's outputs are computed at once, unless a batch is larger."""


class StopWhenUnwanted(keras.callbacks.Callback):
    """Ends an evaluation at its next batch once nobody wants the result; who keeps the weights wants their scores too."""

    def __init__(self, wishes: Wishes) -> None:
        super().__init__()
        self._wishes = wishes

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises StopAsked."""
        self._wishes.check_kept()


def measure(
    model: keras.Model, part: Part, batch_size: int, target: Target, baseline: Baseline, wishes: Wishes
) -> dict[str, Any]:
    """``{"metrics": …}`` with what ``model.evaluate`` gives, beside the scores of ``evaluation.evaluate``, as JSON data.

    Raises StopAsked.
    """
    metrics = keras_metrics(model, part, batch_size, wishes)
    rows = min(part.rows, MAX_SCORED_ROWS)
    outputs = predict(model, part.x[:rows], wishes)
    scores = evaluate(target, outputs, np.asarray(part.y[:rows]), baseline)
    if rows < part.rows:
        scores["notes"] = [*scores.get("notes", []), f"The scores are of the first {rows:,} of {part.rows:,} rows."]
    return {"metrics": metrics, **scores}


def keras_metrics(model: keras.Model, part: Part, batch_size: int, wishes: Wishes) -> dict[str, float | None]:
    """The loss and the metrics of a compiled model."""
    test, restart = test_function(model, part, batch_size, lambda: blocks_in_order(part, model.steps_per_execution * batch_size))
    model.test_function = test
    metrics = model.evaluate(
        nothing(),
        steps=steps_of(part.rows, batch_size),
        callbacks=[BeforeEvaluation(restart), StopWhenUnwanted(wishes)],
        return_dict=True,
        verbose=0,
    )
    return {name: finite_or_none(value) for name, value in metrics.items()}


def predict(model: keras.Model, x: Array, wishes: Wishes) -> Array:
    """The model's outputs ``(rows, …)``."""
    outputs = []
    for start in range(0, len(x), OUTPUT_ROWS):
        wishes.check_kept()
        outputs.append(np.asarray(model(np.asarray(x[start : start + OUTPUT_ROWS]), training=False), dtype=np.float32))
        release_pages([x])
    return np.concatenate(outputs)
