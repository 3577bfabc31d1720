"""Metrics as data: numbers to watch beside the loss. Source: https://keras.io/api/metrics."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.base import KerasObject, ObjectName, snake_case
from service.spec.family import Family
from service.spec.schedules import Fraction, Positive

Axis = Annotated[int, Field(ge=-8, le=8)]
ClassNumber = Annotated[int, Field(ge=0, le=10_000)]
ClassNumbers = Annotated[list[ClassNumber], Field(min_length=1, max_length=4096)]
ClassCount = Annotated[int, Field(ge=1, le=4096)]
ThresholdCount = Annotated[int, Field(ge=2, le=10_000)]
Thresholds = Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=10_000)]
Rank = Annotated[int, Field(ge=1, le=10_000)]


class MetricBase(KerasObject):
    """What all metrics have in common."""

    namespace: ClassVar[str] = "keras.metrics"
    keras_name: ClassVar[str | None] = None
    """The name that Keras gives it, where that is not its class's."""

    name: ObjectName | None = None
    """Name of the metric's column; Keras's own name if left out."""

    @property
    def column(self) -> str:
        """The name that it has in an epoch's row, unless another metric has it already."""
        return self.name or self.keras_name or snake_case(self.type)


class AccuracyByLoss(MetricBase):
    """The part of right answers; Keras picks binary, categorical or sparse by the loss and the output's shape."""

    type: Literal["accuracy"] = "accuracy"
    aliases: ClassVar[tuple[str, ...]] = ("acc", "Accuracy")
    name: None = None
    """Always `accuracy`."""


class BinaryAccuracy(MetricBase):
    """The part of right yes-or-no answers."""

    type: Literal["BinaryAccuracy"] = "BinaryAccuracy"
    threshold: Fraction = 0.5
    """Output from which an answer counts as yes."""


class CategoricalAccuracy(MetricBase):
    """The part of right classes, for one-hot targets."""

    type: Literal["CategoricalAccuracy"] = "CategoricalAccuracy"


class SparseCategoricalAccuracy(MetricBase):
    """The part of right classes, for index targets."""

    type: Literal["SparseCategoricalAccuracy"] = "SparseCategoricalAccuracy"


class TopKCategoricalAccuracy(MetricBase):
    """How often the true class is among the likeliest few, for one-hot targets."""

    type: Literal["TopKCategoricalAccuracy"] = "TopKCategoricalAccuracy"
    keras_name: ClassVar[str | None] = "top_k_categorical_accuracy"
    k: Rank = 5
    """Number of likeliest classes."""


class SparseTopKCategoricalAccuracy(MetricBase):
    """How often the true class is among the likeliest few, for index targets."""

    type: Literal["SparseTopKCategoricalAccuracy"] = "SparseTopKCategoricalAccuracy"
    keras_name: ClassVar[str | None] = "sparse_top_k_categorical_accuracy"
    k: Rank = 5
    """Number of likeliest classes."""
    from_sorted_ids: bool = False
    """Whether the output is a list of classes, likeliest first, instead of probabilities."""


class AUC(MetricBase):
    """Area under a curve over all thresholds: 1 is perfect, 0.5 is guessing."""

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


class TruePositives(CountingMetric):
    """Number of yes answers that are right."""

    type: Literal["TruePositives"] = "TruePositives"


class TrueNegatives(CountingMetric):
    """Number of no answers that are right."""

    type: Literal["TrueNegatives"] = "TrueNegatives"


class FalsePositives(CountingMetric):
    """Number of false alarms: yes answers that are wrong."""

    type: Literal["FalsePositives"] = "FalsePositives"


class FalseNegatives(CountingMetric):
    """Number of misses: no answers that are wrong."""

    type: Literal["FalseNegatives"] = "FalseNegatives"


class ClassCountingMetric(CountingMetric):
    top_k: Rank | None = None
    """Counts the likeliest few classes as yes, instead of a threshold."""
    class_id: ClassNumber | None = None
    """Looks at the class of this index alone."""


class Precision(ClassCountingMetric):
    """How many of the yes answers are right."""

    type: Literal["Precision"] = "Precision"


class Recall(ClassCountingMetric):
    """How many of the true cases are found."""

    type: Literal["Recall"] = "Recall"


class CurveMetric(MetricBase):
    num_thresholds: ThresholdCount = 200
    """Number of thresholds that are tried."""
    class_id: ClassNumber | None = None
    """Looks at the class of this index alone."""


class PrecisionAtRecall(CurveMetric):
    """The best precision at a threshold that finds a given part of the cases."""

    type: Literal["PrecisionAtRecall"] = "PrecisionAtRecall"
    recall: Fraction
    """Part of the cases that must be found."""


class RecallAtPrecision(CurveMetric):
    """The best recall at a threshold whose yes answers are right to a given part."""

    type: Literal["RecallAtPrecision"] = "RecallAtPrecision"
    precision: Fraction
    """Part of the yes answers that must be right."""


class SensitivityAtSpecificity(CurveMetric):
    """The best part of true cases found, at a threshold that leaves a given part of the others alone."""

    type: Literal["SensitivityAtSpecificity"] = "SensitivityAtSpecificity"
    specificity: Fraction
    """Part of the other rows that must be answered with no."""


class SpecificityAtSensitivity(CurveMetric):
    """The best part of other rows left alone, at a threshold that finds a given part of the cases."""

    type: Literal["SpecificityAtSensitivity"] = "SpecificityAtSensitivity"
    sensitivity: Fraction
    """Part of the cases that must be found."""


class ScoreMetric(MetricBase):
    average: Literal["micro", "macro", "weighted"] | None = None
    """How the classes' scores become one: all rows alike, all classes alike, or classes by their size; one each if left out."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Output from which an answer counts as yes; the likeliest class if left out."""


class F1Score(ScoreMetric):
    """The balance of precision and recall, for one-hot targets: 1 is perfect."""

    type: Literal["F1Score"] = "F1Score"
    keras_name: ClassVar[str | None] = "f1_score"


class FBetaScore(ScoreMetric):
    """The balance of precision and recall with a say in which counts more, for one-hot targets."""

    type: Literal["FBetaScore"] = "FBetaScore"
    keras_name: ClassVar[str | None] = "fbeta_score"
    beta: Positive = 1.0
    """How much more recall counts than precision."""


class OverlapMetric(MetricBase):
    """What metrics have in common that measure how far true and answered classes cover the same places."""


class BinaryIoU(OverlapMetric):
    """Overlap of true and answered masks of 0 and 1: what both cover by what either covers."""

    type: Literal["BinaryIoU"] = "BinaryIoU"
    target_class_ids: Annotated[list[Literal[0, 1]], Field(min_length=1, max_length=2)] = [0, 1]
    """Whether to measure 0, 1 or the mean of both."""
    threshold: Fraction = 0.5
    """Output from which an answer counts as 1."""


class ClassOverlapMetric(OverlapMetric):
    num_classes: ClassCount
    """Number of classes."""
    ignore_class: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    """Index of a class that does not count, such as unlabelled places."""
    sparse_y_pred: bool = True
    """Whether the output is a class's index, instead of one number for each class."""
    axis: Axis = -1
    """Axis that holds the classes."""


class IoU(ClassOverlapMetric):
    """Overlap of true and answered places of chosen classes: what both cover by what either covers."""

    type: Literal["IoU"] = "IoU"
    target_class_ids: ClassNumbers
    """Indices of the classes to measure; the mean of them is answered."""
    sparse_y_true: bool = True
    """Whether the target is a class's index, instead of a one-hot row."""


class MeanIoU(ClassOverlapMetric):
    """Mean overlap of true and answered places over all classes."""

    type: Literal["MeanIoU"] = "MeanIoU"
    sparse_y_true: bool = True
    """Whether the target is a class's index, instead of a one-hot row."""


class OneHotIoU(ClassOverlapMetric):
    """Overlap of true and answered places of chosen classes, for one-hot targets."""

    type: Literal["OneHotIoU"] = "OneHotIoU"
    target_class_ids: ClassNumbers
    """Indices of the classes to measure; the mean of them is answered."""
    sparse_y_pred: bool = False
    """Whether the output is a class's index, instead of one number for each class."""


class OneHotMeanIoU(ClassOverlapMetric):
    """Mean overlap of true and answered places over all classes, for one-hot targets."""

    type: Literal["OneHotMeanIoU"] = "OneHotMeanIoU"
    sparse_y_pred: bool = False
    """Whether the output is a class's index, instead of one number for each class."""


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


class MeanSquaredErrorMetric(MetricBase):
    """The mean of the squared differences."""

    type: Literal["MeanSquaredError"] = "MeanSquaredError"
    aliases: ClassVar[tuple[str, ...]] = ("mse", "MSE")


class RootMeanSquaredError(MetricBase):
    """The root of the mean squared difference, in the unit of the target."""

    type: Literal["RootMeanSquaredError"] = "RootMeanSquaredError"


class MeanAbsoluteErrorMetric(MetricBase):
    """The mean of the absolute differences."""

    type: Literal["MeanAbsoluteError"] = "MeanAbsoluteError"
    aliases: ClassVar[tuple[str, ...]] = ("mae", "MAE")


class MeanAbsolutePercentageErrorMetric(MetricBase):
    """The mean difference in percent of the truth."""

    type: Literal["MeanAbsolutePercentageError"] = "MeanAbsolutePercentageError"
    aliases: ClassVar[tuple[str, ...]] = ("mape", "MAPE")


class MeanSquaredLogarithmicErrorMetric(MetricBase):
    """The mean squared difference of logarithms."""

    type: Literal["MeanSquaredLogarithmicError"] = "MeanSquaredLogarithmicError"
    aliases: ClassVar[tuple[str, ...]] = ("msle", "MSLE")


class LogCoshError(MetricBase):
    """About the squared difference for small ones and the absolute for large ones."""

    type: Literal["LogCoshError"] = "LogCoshError"
    keras_name: ClassVar[str | None] = "logcosh"


class R2Score(MetricBase):
    """How much of the target's spread the model explains: 1 all, 0 no more than the mean does."""

    type: Literal["R2Score"] = "R2Score"
    keras_name: ClassVar[str | None] = "r2_score"
    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average"
    """How the scores of several outputs become one; one each if null."""
    num_regressors: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Number of inputs to correct for (adjusted R²); 0 for none."""


class AlongAxisMetric(MetricBase):
    axis: Axis = -1
    """Axis along which the numbers of a row lie."""


class CosineSimilarityMetric(AlongAxisMetric):
    """How far rows point the same way: 1 the same, -1 the opposite."""

    type: Literal["CosineSimilarity"] = "CosineSimilarity"


class PearsonCorrelation(AlongAxisMetric):
    """How far the numbers of a row rise and fall with the true ones: 1 wholly, 0 not at all."""

    type: Literal["PearsonCorrelation"] = "PearsonCorrelation"


class ConcordanceCorrelation(AlongAxisMetric):
    """Like PearsonCorrelation, but also wants the same mean and spread."""

    type: Literal["ConcordanceCorrelation"] = "ConcordanceCorrelation"


METRICS = Family("Metric", MetricBase, "A further number to report after every epoch.")
Metric = Annotated[MetricBase, METRICS]
