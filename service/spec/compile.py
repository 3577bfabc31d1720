"""What ``model.compile`` takes, as data. Source: https://keras.io/api/optimizers, .../losses, .../metrics."""

from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from service.spec.base import KerasObject, ObjectName, Spec, accept_spellings, snake_case
from service.spec.schedules import Fraction, LearningRate, Positive

Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerBase(KerasObject):
    namespace: ClassVar[str] = "keras.optimizers"

    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """Part of every weight that is taken away at each step."""
    clipnorm: Positive | None = None
    """Longest gradient of a single weight array; a longer one is shortened."""
    clipvalue: Positive | None = None
    """Largest absolute value in a gradient."""
    global_clipnorm: Positive | None = None
    """Longest gradient of all weights together."""
    use_ema: bool = False
    """Whether to keep a moving average of the weights, which takes their place at the end."""
    ema_momentum: Annotated[float, Field(ge=0, le=1)] = 0.99
    """How slowly the moving average follows the weights."""
    ema_overwrite_frequency: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """After how many steps the average takes the weights' place each time; only at the end if left out."""


class SGD(OptimizerBase):
    """Gradient descent: every step goes down the slope of the loss."""

    type: Literal["SGD"] = "SGD"
    learning_rate: LearningRate = 0.01
    """Length of a step, or a schedule by which it changes from step to step."""
    momentum: Fraction = 0.0
    """Part of the last step that is carried into the next one."""
    nesterov: bool = False
    """Whether to look ahead along the momentum before measuring the slope."""


class Adam(OptimizerBase):
    """Gradient descent with a step length of its own for every weight; a good first choice."""

    type: Literal["Adam"] = "Adam"
    learning_rate: LearningRate = 0.001
    """Length of a step, or a schedule by which it changes from step to step."""
    beta_1: Decay = 0.9
    """How slowly the average slope follows."""
    beta_2: Decay = 0.999
    """How slowly the average squared slope follows."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""
    amsgrad: bool = False
    """Whether to use the AMSGrad variant."""


class AdamW(Adam):
    """Adam with weight decay done separately from the gradient."""

    type: Literal["AdamW"] = "AdamW"  # type: ignore[assignment]  # narrows the tag of the class it extends
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = 0.004
    """Part of every weight that is taken away at each step."""


class RMSprop(OptimizerBase):
    """Gradient descent divided by the recent size of each slope."""

    type: Literal["RMSprop"] = "RMSprop"
    learning_rate: LearningRate = 0.001
    """Length of a step, or a schedule by which it changes from step to step."""
    rho: Decay = 0.9
    """How slowly the average squared slope follows."""
    momentum: Fraction = 0.0
    """Part of the last step that is carried into the next one."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""
    centered: bool = False
    """Whether to subtract the mean slope first."""


class Adagrad(OptimizerBase):
    """Gradient descent whose steps shrink for weights that have moved a lot."""

    type: Literal["Adagrad"] = "Adagrad"
    learning_rate: LearningRate = 0.001
    """Length of a step, or a schedule by which it changes from step to step."""
    initial_accumulator_value: Annotated[float, Field(ge=0, le=1e6)] = 0.1
    """Starting value of the sum of squared slopes."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""


OPTIMIZERS: tuple[type[OptimizerBase], ...] = (SGD, Adam, AdamW, RMSprop, Adagrad)
AnyOptimizer = Annotated[SGD | Adam | AdamW | RMSprop | Adagrad, Field(discriminator="type")]
Optimizer = Annotated[
    AnyOptimizer,
    BeforeValidator(accept_spellings("optimizer", *OPTIMIZERS), json_schema_input_type=str | AnyOptimizer),
]

TargetEncoding = Literal["number", "binary", "index", "one_hot"]


class LossBase(KerasObject):
    namespace: ClassVar[str] = "keras.losses"
    target_encoding: ClassVar[TargetEncoding]
    """What the loss wants of a class column: 0 or 1, a class's index, a one-hot row, or just the number."""
    is_classification: ClassVar[bool] = True

    name: ObjectName | None = None
    """Name of the loss in error messages and graphs."""


class BinaryCrossentropy(LossBase):
    """For yes-or-no answers: how surprised the model is by the truth. Goes with one `sigmoid` unit."""

    target_encoding: ClassVar[TargetEncoding] = "binary"
    type: Literal["BinaryCrossentropy"] = "BinaryCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards one half."""


class CategoricalCrossentropy(LossBase):
    """For one of several classes, with one-hot targets. Goes with a `softmax` of one unit per class."""

    target_encoding: ClassVar[TargetEncoding] = "one_hot"
    type: Literal["CategoricalCrossentropy"] = "CategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""
    label_smoothing: Fraction = 0.0
    """How far the true answers are moved towards an even guess."""


class SparseCategoricalCrossentropy(LossBase):
    """For one of several classes, with the class's index as target. Goes with a `softmax` of one unit per class."""

    target_encoding: ClassVar[TargetEncoding] = "index"
    type: Literal["SparseCategoricalCrossentropy"] = "SparseCategoricalCrossentropy"
    from_logits: bool = False
    """Whether the model's output is before the softmax."""


class RegressionLoss(LossBase):
    target_encoding: ClassVar[TargetEncoding] = "number"
    is_classification: ClassVar[bool] = False


class MeanSquaredError(RegressionLoss):
    """For numbers: the mean of the squared differences, which punishes large ones most."""

    type: Literal["MeanSquaredError"] = "MeanSquaredError"
    aliases: ClassVar[tuple[str, ...]] = ("mse", "MSE")


class MeanAbsoluteError(RegressionLoss):
    """For numbers: the mean of the absolute differences, in the unit of the target."""

    type: Literal["MeanAbsoluteError"] = "MeanAbsoluteError"
    aliases: ClassVar[tuple[str, ...]] = ("mae", "MAE")


class Huber(RegressionLoss):
    """For numbers: squared for small differences and absolute for large ones, so that outliers count less."""

    type: Literal["Huber"] = "Huber"
    delta: Positive = 1.0
    """Difference at which it changes from squared to absolute."""


LOSSES: tuple[type[LossBase], ...] = (
    BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy, MeanSquaredError, MeanAbsoluteError, Huber,
)  # fmt: skip
AnyLoss = Annotated[
    BinaryCrossentropy | CategoricalCrossentropy | SparseCategoricalCrossentropy | MeanSquaredError | MeanAbsoluteError | Huber,
    Field(discriminator="type"),
]
Loss = Annotated[AnyLoss, BeforeValidator(accept_spellings("loss", *LOSSES), json_schema_input_type=str | AnyLoss)]


class MetricBase(KerasObject):
    namespace: ClassVar[str] = "keras.metrics"

    name: ObjectName | None = None
    """Name of the metric's column; Keras's own name if left out."""


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


class AUC(MetricBase):
    """Area under a curve over all thresholds: 1 is perfect, 0.5 is guessing."""

    type: Literal["AUC"] = "AUC"
    num_thresholds: Annotated[int, Field(ge=2, le=10_000)] = 200
    """Number of thresholds that the curve is measured at."""
    curve: Literal["ROC", "PR"] = "ROC"
    """ROC: hits against false alarms; PR: precision against recall."""
    from_logits: bool = False
    """Whether the model's output is before the sigmoid."""


class Precision(MetricBase):
    """How many of the yes answers are right."""

    type: Literal["Precision"] = "Precision"
    thresholds: Fraction | None = None
    """Output from which an answer counts as yes; 0.5 if left out."""


class Recall(MetricBase):
    """How many of the true cases are found."""

    type: Literal["Recall"] = "Recall"
    thresholds: Fraction | None = None
    """Output from which an answer counts as yes; 0.5 if left out."""


class MeanSquaredErrorMetric(MetricBase):
    """The mean of the squared differences."""

    type: Literal["MeanSquaredError"] = "MeanSquaredError"
    aliases: ClassVar[tuple[str, ...]] = ("mse", "MSE")


class MeanAbsoluteErrorMetric(MetricBase):
    """The mean of the absolute differences."""

    type: Literal["MeanAbsoluteError"] = "MeanAbsoluteError"
    aliases: ClassVar[tuple[str, ...]] = ("mae", "MAE")


class RootMeanSquaredError(MetricBase):
    """The root of the mean squared difference, in the unit of the target."""

    type: Literal["RootMeanSquaredError"] = "RootMeanSquaredError"


METRICS: tuple[type[MetricBase], ...] = (
    AccuracyByLoss, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, AUC, Precision, Recall,
    MeanSquaredErrorMetric, MeanAbsoluteErrorMetric, RootMeanSquaredError,
)  # fmt: skip
AnyMetric = Annotated[
    AccuracyByLoss | BinaryAccuracy | CategoricalAccuracy | SparseCategoricalAccuracy | AUC | Precision | Recall
    | MeanSquaredErrorMetric | MeanAbsoluteErrorMetric | RootMeanSquaredError,
    Field(discriminator="type"),
]  # fmt: skip
Metric = Annotated[AnyMetric, BeforeValidator(accept_spellings("metric", *METRICS), json_schema_input_type=str | AnyMetric)]


class CompileSpec(Spec):
    """The arguments of `model.compile`: how to learn, what to make small, what to watch."""

    optimizer: Optimizer
    """The rule by which the weights are changed, by name or with its settings."""
    loss: Loss
    """The number that `fit` makes small."""
    metrics: Annotated[list[Metric], Field(max_length=32)] = []
    """Further numbers to report after every epoch."""
    jit_compile: bool = False
    """Whether to compile with XLA; it takes time at the start and pays off only for long runs."""


def metric_names(spec: CompileSpec) -> list[str]:
    """The names that the metrics have in an epoch's row; Keras numbers those that would be the same."""
    counts: Counter[str] = Counter()
    names = []
    for metric in spec.metrics:
        name = metric.name or snake_case(metric.type)
        names.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return names
