"""Metrics of right and wrong answers. Source: https://keras.io/api/metrics."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.metrics.fields import ClassNumber, MetricBase, PerUnitMetric, Rank, ThresholdCount, Thresholds
from service.spec.schedules import Fraction, Positive


class AccuracyByLoss(MetricBase):
    """The part of right answers; Keras picks binary, categorical or sparse by the loss and the output's shape. Use it for classes
    of about the same size."""

    type: Literal["accuracy"] = "accuracy"
    aliases: ClassVar[tuple[str, ...]] = ("acc", "Accuracy")
    name: None = None
    """Always `accuracy`."""


class BinaryAccuracy(MetricBase):
    """The part of right yes-or-no answers. Use it where yes and no are about as frequent."""

    type: Literal["BinaryAccuracy"] = "BinaryAccuracy"
    threshold: Fraction = 0.5
    """Output from which an answer counts as yes."""


class CategoricalAccuracy(MetricBase):
    """The part of right classes, for one-hot targets. Use it with the loss CategoricalCrossentropy."""

    type: Literal["CategoricalAccuracy"] = "CategoricalAccuracy"


class SparseCategoricalAccuracy(MetricBase):
    """The part of right classes, for index targets. Use it with the loss SparseCategoricalCrossentropy."""

    type: Literal["SparseCategoricalAccuracy"] = "SparseCategoricalAccuracy"


class TopKCategoricalAccuracy(MetricBase):
    """How often the true class is among the likeliest few, for one-hot targets. Use it where there are many classes, and several
    answers are shown."""

    type: Literal["TopKCategoricalAccuracy"] = "TopKCategoricalAccuracy"
    keras_name: ClassVar[str | None] = "top_k_categorical_accuracy"
    k: Rank = 5
    """Number of likeliest classes."""


class SparseTopKCategoricalAccuracy(MetricBase):
    """How often the true class is among the likeliest few, for index targets. Use it where there are many classes, and several
    answers are shown."""

    type: Literal["SparseTopKCategoricalAccuracy"] = "SparseTopKCategoricalAccuracy"
    keras_name: ClassVar[str | None] = "sparse_top_k_categorical_accuracy"
    k: Rank = 5
    """Number of likeliest classes."""
    from_sorted_ids: bool = False
    """Whether the output is a list of classes, likeliest first, instead of probabilities."""


class AUC(MetricBase):
    """How well yes and no are told apart over all thresholds: 1 is perfect, and 0.5 of the curve ROC is guessing. Use it where
    yes is rare, or no threshold is chosen."""

    type: Literal["AUC"] = "AUC"
    num_thresholds: ThresholdCount = 200
    """Number of thresholds that the curve is measured at."""
    curve: Literal["ROC", "PR"] = "ROC"
    """ROC: hits against false alarms; PR: precision against recall."""
    summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation"
    """How the area between two thresholds is counted: between both, by the lower or by the higher one."""
    thresholds: Annotated[list[Fraction], Field(min_length=1, max_length=10_000)] | None = None
    """The thresholds themselves, instead of their number."""
    multi_label: bool = False
    """Whether to take the mean of the areas of all labels, instead of the area of all together."""
    num_labels: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Number of labels with `multi_label`; that of the output if left out."""
    label_weights: Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(min_length=1, max_length=1000)] | None = None
    """How much each label counts with `multi_label`."""
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""


class CountingMetric(MetricBase):
    thresholds: Thresholds | None = None
    """Output from which an answer counts as yes; 0.5 if left out; several give a number each."""

    @property
    def mend_of_several(self) -> str | None:
        """Several thresholds give a number each."""
        return "Give it a single threshold." if isinstance(self.thresholds, list) and len(self.thresholds) > 1 else None


class TallyMetric(CountingMetric):
    has_direction: ClassVar[bool] = False


class TruePositives(TallyMetric):
    """Number of yes answers that are right. Use it to count what was found."""

    type: Literal["TruePositives"] = "TruePositives"


class TrueNegatives(TallyMetric):
    """Number of no answers that are right. Use it to count what was rightly left alone."""

    type: Literal["TrueNegatives"] = "TrueNegatives"


class FalsePositives(TallyMetric):
    """Number of false alarms: yes answers that are wrong. Use it where each of them costs something."""

    type: Literal["FalsePositives"] = "FalsePositives"


class FalseNegatives(TallyMetric):
    """Number of misses: no answers that are wrong. Use it where each of them costs something."""

    type: Literal["FalseNegatives"] = "FalseNegatives"


class ClassCountingMetric(CountingMetric):
    top_k: Rank | None = None
    """Counts the likeliest few classes as yes, instead of a threshold."""
    class_id: ClassNumber | None = None
    """Looks at the class of this index alone."""


class Precision(ClassCountingMetric):
    """The part of the yes answers that are right. Use it where false alarms are bad, as for spam filters."""

    type: Literal["Precision"] = "Precision"


class Recall(ClassCountingMetric):
    """The part of the true cases that are found. Use it where misses are bad, as for diseases."""

    type: Literal["Recall"] = "Recall"


class CurveMetric(MetricBase):
    num_thresholds: ThresholdCount = 200
    """Number of thresholds that are tried."""
    class_id: ClassNumber | None = None
    """Looks at the class of this index alone."""


class PrecisionAtRecall(CurveMetric):
    """The best precision at a threshold that finds a given part of the cases. Use it where that part is prescribed."""

    type: Literal["PrecisionAtRecall"] = "PrecisionAtRecall"
    recall: Fraction
    """Part of the cases that must be found."""


class RecallAtPrecision(CurveMetric):
    """The best recall at a threshold whose yes answers are right to a given part. Use it where false alarms are limited by
    that."""

    type: Literal["RecallAtPrecision"] = "RecallAtPrecision"
    precision: Fraction
    """Part of the yes answers that must be right."""


class SensitivityAtSpecificity(CurveMetric):
    """The best part of true cases found, at a threshold that leaves a given part of the others alone. Use it for medical
    tests."""

    type: Literal["SensitivityAtSpecificity"] = "SensitivityAtSpecificity"
    specificity: Fraction
    """Part of the other rows that must be answered with no."""


class SpecificityAtSensitivity(CurveMetric):
    """The best part of other rows left alone, at a threshold that finds a given part of the cases. Use it for medical tests."""

    type: Literal["SpecificityAtSensitivity"] = "SpecificityAtSensitivity"
    sensitivity: Fraction
    """Part of the cases that must be found."""


class ScoreMetric(PerUnitMetric):
    average: Literal["micro", "macro", "weighted"] | None = None
    """How the classes' scores become one: all rows alike, all classes alike, or classes by their size; one each if left out."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Output from which an answer counts as yes; the likeliest class if left out."""

    @property
    def mend_of_several(self) -> str | None:
        """Without an average it is one for each class."""
        return 'Set its average to "macro".' if self.average is None else None


class F1Score(ScoreMetric):
    """The balance of precision and recall, for one-hot targets: 1 is perfect. Use it where classes differ in size."""

    type: Literal["F1Score"] = "F1Score"
    keras_name: ClassVar[str | None] = "f1_score"


class FBetaScore(ScoreMetric):
    """The balance of precision and recall with a say in which counts more, for one-hot targets. Use it where misses are worse
    than false alarms, or better."""

    type: Literal["FBetaScore"] = "FBetaScore"
    keras_name: ClassVar[str | None] = "fbeta_score"
    beta: Positive = 1.0
    """How much more recall counts than precision."""
