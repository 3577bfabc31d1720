"""What ``model.compile`` takes, as data. Source: https://keras.io/api/models/model_training_apis."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from service.spec.base import Spec
from service.spec.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    LossBase,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from service.spec.metrics import AccuracyByLoss, Metric, MetricBase
from service.spec.optimizers import Optimizer

__all__ = [
    "AccuracyByLoss", "BinaryCrossentropy", "CategoricalCrossentropy", "CompileSpec", "Loss", "LossBase", "MeanSquaredError",
    "Metric", "MetricBase", "Optimizer", "SparseCategoricalCrossentropy", "metric_names",
]  # fmt: skip


class CompileSpec(Spec):
    """The arguments of `model.compile`: how to learn, what to make small, what to watch."""

    optimizer: Optimizer
    """The rule by which the weights are changed, by name or with its settings."""
    loss: Loss
    """The number that `fit` makes small."""
    metrics: Annotated[list[Metric], Field(max_length=32)] = []
    """Further numbers to report after every epoch."""
    jit_compile: bool = False
    """Whether to compile with XLA; it takes time at the start and pays off only for long runs on a GPU. Keras does not do it
    where results are exact, which is on every CPU."""


def metric_names(spec: CompileSpec) -> list[str]:
    """The names that the metrics have in an epoch's row; Keras numbers those that would be the same."""
    counts: Counter[str] = Counter()
    names = []
    for metric in spec.metrics:
        name = metric.column
        names.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return names
