"""Metrics that are losses for classes: how surprised the model is by the truth. Source: https://keras.io/api/metrics."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.metrics.fields import Axis, MetricBase
from service.spec.schedules import Fraction


class BinaryCrossentropyMetric(MetricBase):
    """How surprised the model is by the true yes or no. Use it to watch probabilities beside another loss."""

    type: Literal["BinaryCrossentropy"] = "BinaryCrossentropy"
    aliases: ClassVar[tuple[str, ...]] = ("bce", "BCE")
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards one half."""


class CategoricalCrossentropyMetric(MetricBase):
    """How surprised the model is by the true class, for one-hot targets. Use it to watch probabilities beside another loss."""

    type: Literal["CategoricalCrossentropy"] = "CategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards an even guess."""
    axis: Axis = -1
    """Axis that holds the classes."""


class SparseCategoricalCrossentropyMetric(MetricBase):
    """How surprised the model is by the true class, for index targets. Use it to watch probabilities beside another loss."""

    type: Literal["SparseCategoricalCrossentropy"] = "SparseCategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    ignore_class: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    """Index of a class that does not count, such as unlabelled rows."""
    axis: Axis = -1
    """Axis that holds the classes."""


class KLDivergenceMetric(MetricBase):
    """What is lost when the model's shares stand for the true ones. Use it for targets that are shares of 1."""

    type: Literal["KLDivergence"] = "KLDivergence"


class PoissonMetric(MetricBase):
    """How surprised the model is by the true count. Use it for counts beside another loss."""

    type: Literal["Poisson"] = "Poisson"


class HingeMetric(MetricBase):
    """How far scores are from being right by at least 1, for yes-or-no answers. Use it for scores with a sign, as from `tanh`."""

    type: Literal["Hinge"] = "Hinge"


class SquaredHingeMetric(MetricBase):
    """Hinge squared: how far scores are from being right by at least 1, far ones most. Use it for scores with a sign, as from
    `tanh`."""

    type: Literal["SquaredHinge"] = "SquaredHinge"


class CategoricalHingeMetric(MetricBase):
    """How far the true class's score is from being ahead by 1, for one-hot targets. Use it for scores of several classes."""

    type: Literal["CategoricalHinge"] = "CategoricalHinge"
