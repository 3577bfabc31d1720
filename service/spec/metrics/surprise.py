"""Metrics that are losses for classes: how surprised the model is by the truth. Source: https://keras.io/api/metrics."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.metrics.fields import Axis, MetricBase
from service.spec.schedules import Fraction


class BinaryCrossentropyMetric(MetricBase):
    """How surprised the model is by the true yes or no."""

    type: Literal["BinaryCrossentropy"] = "BinaryCrossentropy"
    aliases: ClassVar[tuple[str, ...]] = ("bce", "BCE")
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards one half."""


class CategoricalCrossentropyMetric(MetricBase):
    """How surprised the model is by the true class, for one-hot targets."""

    type: Literal["CategoricalCrossentropy"] = "CategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards an even guess."""
    axis: Axis = -1
    """Axis that holds the classes."""


class SparseCategoricalCrossentropyMetric(MetricBase):
    """How surprised the model is by the true class, for index targets."""

    type: Literal["SparseCategoricalCrossentropy"] = "SparseCategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    ignore_class: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    """Index of a class that does not count, such as unlabelled rows."""
    axis: Axis = -1
    """Axis that holds the classes."""


class KLDivergenceMetric(MetricBase):
    """What is lost when the model's shares stand for the true ones."""

    type: Literal["KLDivergence"] = "KLDivergence"


class PoissonMetric(MetricBase):
    """How surprised the model is by the true count."""

    type: Literal["Poisson"] = "Poisson"


class HingeMetric(MetricBase):
    """How far scores are from being right by at least 1, for yes-or-no answers."""

    type: Literal["Hinge"] = "Hinge"


class SquaredHingeMetric(MetricBase):
    """Hinge squared."""

    type: Literal["SquaredHinge"] = "SquaredHinge"


class CategoricalHingeMetric(MetricBase):
    """How far the true class's score is from being ahead by 1."""

    type: Literal["CategoricalHinge"] = "CategoricalHinge"
