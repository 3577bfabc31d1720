"""Measures a fitted model on encoded rows: Keras's own metrics, and the scores that people look at beside a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from service.features.plan import Target
from service.infra.npy import release_pages
from service.training.callbacks import BeforeEvaluation, finite_or_none
from service.training.evaluation import Baseline, baseline_of, evaluate, read_baseline
from service.training.examples import Array, Part
from service.training.feeding import blocks_in_order, steps_of
from service.training.stepping import nothing, test_function
from service.training.structure import as_list, one_or_list
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


def baselines_of(targets: Sequence[Target], truths: Sequence[Array]) -> list[Baseline]:
    """The baseline of each target, from the encoded truth of the training rows."""
    return [baseline_of(target, truth) for target, truth in zip(targets, truths, strict=True)]


def read_baselines(document: Mapping[str, Any], targets: Sequence[Target]) -> list[Baseline]:
    """The baselines of a stored document."""
    return [read_baseline(document[target.output]) for target in targets]


@dataclass(frozen=True)
class Measuring:
    """A fitted model, and what its answers are compared with."""

    model: keras.Model
    batch_size: int
    targets: Sequence[Target]
    baselines: Sequence[Baseline]
    wishes: Wishes

    @property
    def baselines_document(self) -> dict[str, Any]:
        """Plain JSON data: the baseline of each output by its name."""
        return {target.output: baseline.as_document() for target, baseline in zip(self.targets, self.baselines, strict=True)}

    def measure(self, part: Part) -> dict[str, Any]:
        """``{"metrics": …}`` with what ``model.evaluate`` gives, beside the scores of ``evaluation.evaluate``, as JSON data.

        Those of several outputs are by their names under ``outputs``. ``runs.result_schemas`` describes it. Raises StopAsked.
        """
        metrics = keras_metrics(self.model, part, self.batch_size, self.wishes)
        rows = min(part.rows, MAX_SCORED_ROWS)
        outputs = predict(self.model, [array[:rows] for array in part.inputs], self.wishes)
        scores = [
            self._scores(number, output, np.asarray(truth[:rows]), part.rows)
            for number, (output, truth) in enumerate(zip(outputs, part.targets, strict=True))
        ]
        if len(scores) == 1:
            return {"metrics": metrics, **scores[0]}
        by_output = {target.output: found for target, found in zip(self.targets, scores, strict=True)}
        return {"task": "several outputs", "metrics": metrics, "outputs": by_output}

    def _scores(self, number: int, output: Array, truth: Array, all_rows: int) -> dict[str, Any]:
        scores = evaluate(self.targets[number], output, truth, self.baselines[number])
        if len(truth) < all_rows:
            scores["notes"] = [*scores.get("notes", []), f"The scores are of the first {len(truth):,} of {all_rows:,} rows."]
        return scores


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


def predict(model: keras.Model, inputs: Sequence[Array], wishes: Wishes) -> list[Array]:
    """The model's outputs, ``(rows, …)`` each."""
    blocks: list[list[Array]] = []
    for start in range(0, len(inputs[0]), OUTPUT_ROWS):
        wishes.check_kept()
        block = one_or_list([np.asarray(array[start : start + OUTPUT_ROWS]) for array in inputs])
        blocks.append([np.asarray(output, dtype=np.float32) for output in as_list(model(block, training=False))])
        release_pages(inputs)
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
