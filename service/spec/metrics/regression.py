"""Metrics of numbers: how far answers are from the truth. Source: https://keras.io/api/metrics."""

from typing import ClassVar, Literal

from service.spec.metrics.fields import Axis, MetricBase, PerUnitMetric


class MeanSquaredErrorMetric(MetricBase):
    """The mean of the squared differences. Use it to watch large mistakes beside another loss."""

    type: Literal["MeanSquaredError"] = "MeanSquaredError"
    aliases: ClassVar[tuple[str, ...]] = ("mse", "MSE")


class RootMeanSquaredError(MetricBase):
    """The root of the mean squared difference, in the unit of the target. Use it to say how far off answers are, large mistakes
    most."""

    type: Literal["RootMeanSquaredError"] = "RootMeanSquaredError"


class MeanAbsoluteErrorMetric(MetricBase):
    """The mean of the absolute differences, in the unit of the target. Use it to say how far off answers usually are."""

    type: Literal["MeanAbsoluteError"] = "MeanAbsoluteError"
    aliases: ClassVar[tuple[str, ...]] = ("mae", "MAE")


class MeanAbsolutePercentageErrorMetric(MetricBase):
    """The mean difference in percent of the truth. Use it for positive targets that are never near 0."""

    type: Literal["MeanAbsolutePercentageError"] = "MeanAbsolutePercentageError"
    aliases: ClassVar[tuple[str, ...]] = ("mape", "MAPE")


class MeanSquaredLogarithmicErrorMetric(MetricBase):
    """The mean squared difference of logarithms, each plus 1. Use it for positive targets of many sizes."""

    type: Literal["MeanSquaredLogarithmicError"] = "MeanSquaredLogarithmicError"
    aliases: ClassVar[tuple[str, ...]] = ("msle", "MSLE")


class LogCoshError(MetricBase):
    """About the squared difference for small ones and the absolute for large ones. Use it where outliers should not count for
    much."""

    type: Literal["LogCoshError"] = "LogCoshError"
    keras_name: ClassVar[str | None] = "logcosh"


class R2Score(PerUnitMetric):
    """How much of the target's spread the model explains: 1 all, 0 no more than the mean does. Use it to compare targets of
    different units."""

    type: Literal["R2Score"] = "R2Score"
    keras_name: ClassVar[str | None] = "r2_score"
    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average"
    """How the scores of several outputs become one; one each if null."""

    @property
    def mend_of_several(self) -> str | None:
        """Without an average it is one for each number of a row."""
        return "Leave class_aggregation out." if self.class_aggregation is None else None


class AlongAxisMetric(MetricBase):
    axis: Axis = -1
    """Axis along which the numbers of a row lie."""


class CosineSimilarityMetric(AlongAxisMetric):
    """How far rows of numbers point the same way: 1 the same, -1 the opposite. Use it for vectors whose length does not
    matter."""

    type: Literal["CosineSimilarity"] = "CosineSimilarity"


class PearsonCorrelation(AlongAxisMetric):
    """How far the numbers of a row rise and fall with the true ones: 1 wholly, 0 not at all, -1 against. Use it where only the
    course matters."""

    type: Literal["PearsonCorrelation"] = "PearsonCorrelation"


class ConcordanceCorrelation(AlongAxisMetric):
    """Like PearsonCorrelation, but also wants the same mean and spread. Use it to see whether two ways to measure agree."""

    type: Literal["ConcordanceCorrelation"] = "ConcordanceCorrelation"
