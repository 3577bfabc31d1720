"""Losses as data: the number that a fit makes small. Source: https://keras.io/api/losses."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.base import KerasObject, ObjectName
from service.spec.family import Family
from service.spec.schedules import Fraction, Positive

TargetEncoding = Literal["number", "binary", "index", "one_hot"]
Answers = Literal["numbers", "probabilities", "shares", "scores", "ranks", "masks", "rates", "directions"]
Reduction = Literal["sum_over_batch_size", "mean_with_sample_weight", "mean", "sum"]
Axis = Annotated[int, Field(ge=-8, le=8)]
Axes = Annotated[list[Axis], Field(min_length=1, max_length=8)]
Strength = Annotated[float, Field(ge=0, le=1e6)]


class LossBase(KerasObject):
    """What all losses have in common."""

    namespace: ClassVar[str] = "keras.losses"
    target_encoding: ClassVar[TargetEncoding]
    """What the loss wants of a class column: 0 or 1, a class's index, a one-hot row, or just the number."""
    is_classification: ClassVar[bool] = True
    answers: ClassVar[Answers]
    """What it takes a model's answers for: any numbers, probabilities of their own, shares that add up to 1, scores whose sign
    counts, scores of which the largest counts, masks from 0 to 1, rates that are never negative, or directions."""

    reduction: Reduction = "sum_over_batch_size"
    """How the losses of a batch become one number: their mean, or their sum."""
    name: ObjectName | None = None
    """Name of the loss in error messages and graphs."""


class RegressionLoss(LossBase):
    target_encoding: ClassVar[TargetEncoding] = "number"
    is_classification: ClassVar[bool] = False
    answers: ClassVar[Answers] = "numbers"


class MarginLoss(LossBase):
    """What losses have in common that want a score with a sign or a rank, and no probability."""

    from_logits: ClassVar[bool] = True
    """Scores become shares of 1 only where somebody asks for probabilities."""


class BinaryCrossentropy(LossBase):
    """For yes-or-no answers: how surprised the model is by the truth. Goes with one `sigmoid` unit."""

    target_encoding: ClassVar[TargetEncoding] = "binary"
    answers: ClassVar[Answers] = "probabilities"
    type: Literal["BinaryCrossentropy"] = "BinaryCrossentropy"
    aliases: ClassVar[tuple[str, ...]] = ("bce", "BCE")
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards one half."""
    axis: Axis = -1
    """Axis over which to take the mean of a row's answers."""


class BinaryFocalCrossentropy(LossBase):
    """For yes-or-no answers where yes is rare: BinaryCrossentropy in which answers that are right already count little. Goes with
    one `sigmoid` unit."""

    target_encoding: ClassVar[TargetEncoding] = "binary"
    answers: ClassVar[Answers] = "probabilities"
    type: Literal["BinaryFocalCrossentropy"] = "BinaryFocalCrossentropy"
    apply_class_balancing: bool = False
    """Whether yes and no count by `alpha`."""
    alpha: Fraction = 0.25
    """How much a true yes counts; a true no counts the rest up to 1."""
    gamma: Strength = 2.0
    """How little easy answers count: 0 counts all alike."""
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards one half."""
    axis: Axis = -1
    """Axis over which to take the mean of a row's answers."""


class CategoricalCrossentropy(LossBase):
    """For one of several classes, with one-hot targets. Goes with a `softmax` of one unit per class."""

    target_encoding: ClassVar[TargetEncoding] = "one_hot"
    answers: ClassVar[Answers] = "shares"
    type: Literal["CategoricalCrossentropy"] = "CategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards an even guess."""
    axis: Axis = -1
    """Axis that holds the classes."""


class CategoricalFocalCrossentropy(LossBase):
    """For one of several classes where some are rare: CategoricalCrossentropy in which answers that are right already count
    little."""

    target_encoding: ClassVar[TargetEncoding] = "one_hot"
    answers: ClassVar[Answers] = "shares"
    type: Literal["CategoricalFocalCrossentropy"] = "CategoricalFocalCrossentropy"
    alpha: Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=10_000)] = 0.25
    """How much every class counts, or one number for each."""
    gamma: Strength = 2.0
    """How little easy answers count: 0 counts all alike."""
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards an even guess."""
    axis: Axis = -1
    """Axis that holds the classes."""


class CategoricalGeneralizedCrossEntropy(LossBase):
    """For one of several classes where some labels are wrong: between crossentropy and absolute error. Goes with a `softmax`."""

    target_encoding: ClassVar[TargetEncoding] = "index"
    answers: ClassVar[Answers] = "shares"
    type: Literal["CategoricalGeneralizedCrossEntropy"] = "CategoricalGeneralizedCrossEntropy"
    q: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """How little wrong labels count: near 0 as crossentropy, near 1 as absolute error."""


class SparseCategoricalCrossentropy(LossBase):
    """For one of several classes, with the class's index as target. Goes with a `softmax` of one unit per class."""

    target_encoding: ClassVar[TargetEncoding] = "index"
    answers: ClassVar[Answers] = "shares"
    type: Literal["SparseCategoricalCrossentropy"] = "SparseCategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    ignore_class: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    """Index of a class that does not count, such as unlabelled rows."""
    axis: Axis = -1
    """Axis that holds the classes."""


class KLDivergence(LossBase):
    """For shares that add up to 1: what is lost when the model's shares stand for the true ones. Goes with a `softmax`."""

    target_encoding: ClassVar[TargetEncoding] = "one_hot"
    answers: ClassVar[Answers] = "shares"
    type: Literal["KLDivergence"] = "KLDivergence"
    aliases: ClassVar[tuple[str, ...]] = ("kld", "KLD")


class Hinge(MarginLoss):
    """For yes-or-no answers by the sign of a score: right ones beyond 1 count nothing. Goes with `tanh` or `linear`."""

    target_encoding: ClassVar[TargetEncoding] = "binary"
    answers: ClassVar[Answers] = "scores"
    type: Literal["Hinge"] = "Hinge"


class SquaredHinge(MarginLoss):
    """Hinge squared, which punishes answers that are far off most. Goes with `tanh` or `linear`."""

    target_encoding: ClassVar[TargetEncoding] = "binary"
    answers: ClassVar[Answers] = "scores"
    type: Literal["SquaredHinge"] = "SquaredHinge"


class CategoricalHinge(MarginLoss):
    """For one of several classes by the largest score: wants the true one ahead by 1. Goes with `linear`."""

    target_encoding: ClassVar[TargetEncoding] = "one_hot"
    answers: ClassVar[Answers] = "ranks"
    type: Literal["CategoricalHinge"] = "CategoricalHinge"


class MeanSquaredError(RegressionLoss):
    """For numbers, as the usual choice: the mean of the squared differences, which punishes large ones most."""

    type: Literal["MeanSquaredError"] = "MeanSquaredError"
    aliases: ClassVar[tuple[str, ...]] = ("mse", "MSE")


class MeanAbsoluteError(RegressionLoss):
    """For numbers with some outliers: the mean of the absolute differences, in the unit of the target."""

    type: Literal["MeanAbsoluteError"] = "MeanAbsoluteError"
    aliases: ClassVar[tuple[str, ...]] = ("mae", "MAE")


class MeanAbsolutePercentageError(RegressionLoss):
    """For positive numbers of many sizes, never near 0: the mean difference in percent of the truth."""

    type: Literal["MeanAbsolutePercentageError"] = "MeanAbsolutePercentageError"
    aliases: ClassVar[tuple[str, ...]] = ("mape", "MAPE")


class MeanSquaredLogarithmicError(RegressionLoss):
    """For positive numbers of many sizes, such as prices: the mean squared difference of their logarithms, each plus 1."""

    type: Literal["MeanSquaredLogarithmicError"] = "MeanSquaredLogarithmicError"
    aliases: ClassVar[tuple[str, ...]] = ("msle", "MSLE")


class Huber(RegressionLoss):
    """For numbers with outliers: squared for small differences and absolute for large ones."""

    type: Literal["Huber"] = "Huber"
    delta: Positive = 1.0
    """Difference at which it changes from squared to absolute."""


class LogCosh(RegressionLoss):
    """For numbers with outliers: about squared for small differences and absolute for large ones, with no edge between."""

    type: Literal["LogCosh"] = "LogCosh"


class Poisson(RegressionLoss):
    """For counts, such as visits per hour. Goes with an output that is never negative, such as `exponential` or `softplus`."""

    answers: ClassVar[Answers] = "rates"
    type: Literal["Poisson"] = "Poisson"


class CosineSimilarity(RegressionLoss):
    """For rows of numbers whose direction matters and not their length: -1 is the same direction, 1 the opposite."""

    answers: ClassVar[Answers] = "directions"
    type: Literal["CosineSimilarity"] = "CosineSimilarity"
    axis: Axis = -1
    """Axis along which the numbers of a row lie."""


class Dice(RegressionLoss):
    """For masks of 0 and 1, such as what belongs to a thing in an image: how little two masks overlap. Goes with `sigmoid`."""

    answers: ClassVar[Answers] = "masks"
    type: Literal["Dice"] = "Dice"
    axis: Axes | None = None
    """Axes over which the overlap is measured; the whole batch at once if left out."""


class Tversky(RegressionLoss):
    """For masks of 0 and 1 where to miss a point is worse than to add one, or the other way round: Dice with a say in it."""

    answers: ClassVar[Answers] = "masks"
    type: Literal["Tversky"] = "Tversky"
    alpha: Strength = 0.5
    """How much added points count."""
    beta: Strength = 0.5
    """How much missed points count."""
    axis: Axes | None = None
    """Axes over which the overlap is measured; the whole batch at once if left out."""


LOSSES = Family("Loss", LossBase, "The number that `fit` makes small.")
Loss = Annotated[LossBase, LOSSES]
