"""Optimizers as data: the rules by which weights are changed. Source: https://keras.io/api/optimizers."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import KerasObject, ObjectName
from service.spec.family import Family
from service.spec.schedules import Fraction, LearningRate, Positive

Decay = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(ge=0, le=1e6)]
Coefficient = Annotated[float, Field(ge=-100, le=100)]
WeightDecay = Annotated[float, Field(ge=0, le=1)]


class OptimizerBase(KerasObject):
    """What all optimizers have in common."""

    namespace: ClassVar[str] = "keras.optimizers"

    weight_decay: WeightDecay | None = None
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
    loss_scale_factor: Positive | None = None
    """What the loss is multiplied by, and the gradients divided by again, so that 16-bit numbers do not become 0."""
    gradient_accumulation_steps: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    """How many batches are added up before the weights change; every batch by itself if left out."""
    name: ObjectName | None = None
    """Name of the optimizer's variables."""

    @model_validator(mode="after")
    def _clips_in_one_way(self) -> Self:
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            message = "{given} are given. Keras clips gradients in one way only: choose one."
            raise PydanticCustomError("clips_in_several_ways", message, {"given": " and ".join(f"'{name}'" for name in given)})
        return self


class StepOptimizer(OptimizerBase):
    learning_rate: LearningRate = 0.001
    """Length of a step, or a schedule by which it changes from step to step."""


class MomentOptimizer(StepOptimizer):
    """What Adam and its kin have in common."""

    beta_1: Decay = 0.9
    """How slowly the average slope follows."""
    beta_2: Decay = 0.999
    """How slowly the average squared slope follows."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""


class SGD(OptimizerBase):
    """Gradient descent: every step goes down the slope of the loss. Use it to learn how fits work, and with `momentum` and a
    schedule for images."""

    type: Literal["SGD"] = "SGD"
    learning_rate: LearningRate = 0.01
    """Length of a step, or a schedule by which it changes from step to step."""
    momentum: Fraction = 0.0
    """Part of the last step that is carried into the next one."""
    nesterov: bool = False
    """Whether to look ahead along the momentum before measuring the slope."""


class Adam(MomentOptimizer):
    """Gradient descent with a step length of its own for every weight. Use it first: it works nearly everywhere."""

    type: Literal["Adam"] = "Adam"
    amsgrad: bool = False
    """Whether to use the AMSGrad variant."""


class AdamW(MomentOptimizer):
    """Adam with weight decay done apart from the gradient. Use it for transformers, and where Adam learns by heart."""

    type: Literal["AdamW"] = "AdamW"
    weight_decay: WeightDecay = 0.004
    """Part of every weight that is taken away at each step."""
    amsgrad: bool = False
    """Whether to use the AMSGrad variant."""


class Adamax(MomentOptimizer):
    """Adam by the largest slope instead of the average square. Use it where slopes are rare or jump, as with Embeddings."""

    type: Literal["Adamax"] = "Adamax"


class Nadam(MomentOptimizer):
    """Adam that looks ahead along its momentum, as `nesterov` does for SGD. Use it in place of Adam: it is sometimes quicker."""

    type: Literal["Nadam"] = "Nadam"


class Lamb(MomentOptimizer):
    """Adam whose steps are scaled by the size of each layer's weights. Use it for batches of thousands of rows."""

    type: Literal["Lamb"] = "Lamb"


class Lion(StepOptimizer):
    """Steps of one length by the sign of the slope alone. Use it for large models, with a third to a tenth of Adam's learning
    rate: it takes less memory."""

    type: Literal["Lion"] = "Lion"
    beta_1: Decay = 0.9
    """How much the average slope counts beside the present one."""
    beta_2: Decay = 0.99
    """How slowly the average slope follows."""


class RMSprop(StepOptimizer):
    """Gradient descent divided by the recent size of each slope. Use it for recurrent networks."""

    type: Literal["RMSprop"] = "RMSprop"
    rho: Decay = 0.9
    """How slowly the average squared slope follows."""
    momentum: Fraction = 0.0
    """Part of the last step that is carried into the next one."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""
    centered: bool = False
    """Whether to subtract the mean slope first."""


class Adagrad(StepOptimizer):
    """Gradient descent whose steps shrink for weights that have moved a lot. Use it for rare features, such as many words."""

    type: Literal["Adagrad"] = "Adagrad"
    initial_accumulator_value: Strength = 0.1
    """Starting value of the sum of squared slopes."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""


class Adadelta(StepOptimizer):
    """Adagrad that forgets old slopes, so that its steps do not shrink to nothing. Use it with a learning rate of 1, as its paper
    does."""

    type: Literal["Adadelta"] = "Adadelta"
    rho: Decay = 0.95
    """How slowly the averages follow."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""


class Adafactor(StepOptimizer):
    """Adam's idea with one number per row and column instead of one per weight. Use it for models whose optimizer does not fit
    into memory."""

    type: Literal["Adafactor"] = "Adafactor"
    beta_2_decay: Annotated[float, Field(ge=-10, le=0)] = -0.8
    """How the averages become slower from step to step."""
    epsilon_1: Positive = 1e-30
    """Small number that keeps the division from failing."""
    epsilon_2: Positive = 0.001
    """Smallest size of weights that steps are scaled by."""
    clip_threshold: Positive = 1.0
    """Longest step; a longer one is shortened."""
    relative_step: bool = True
    """Whether the step length also falls with the number of steps."""


class Ftrl(StepOptimizer):
    """Follows the leader with penalties (FTRL). Use it for shallow models of very many, mostly empty features."""

    type: Literal["Ftrl"] = "Ftrl"
    learning_rate_power: Annotated[float, Field(ge=-10, le=0)] = -0.5
    """How the step length falls with what has been learned."""
    initial_accumulator_value: Strength = 0.1
    """Starting value of the sum of squared slopes."""
    l1_regularization_strength: Strength = 0.0
    """Penalty on absolute weights."""
    l2_regularization_strength: Strength = 0.0
    """Penalty on squared weights."""
    l2_shrinkage_regularization_strength: Strength = 0.0
    """Penalty on squared weights that counts only for weights in use."""
    beta: Strength = 0.0
    """A number that is added to the divisor of the step length."""


class Muon(StepOptimizer):
    """Steps along straightened momentum for matrices of weights, and AdamW for all other weights. Use it for transformers and
    other deep models."""

    type: Literal["Muon"] = "Muon"
    weight_decay: WeightDecay | None = 0.004
    """Part of every weight that is taken away at each step."""
    adam_beta_1: Decay = 0.9
    """As `beta_1` of AdamW."""
    adam_beta_2: Decay = 0.999
    """As `beta_2` of AdamW."""
    adam_weight_decay: WeightDecay | None = 0.004
    """As `weight_decay` of AdamW."""
    adam_lr_ratio: Positive = 1
    """What the learning rate is multiplied by for AdamW."""
    epsilon: Positive = 1e-7
    """Small number that keeps the division from failing."""
    exclude_embeddings: bool = True
    """Whether the vectors of Embedding layers are changed by AdamW."""
    muon_a: Coefficient = 3.4445
    """First number of the straightening; best left as it is."""
    muon_b: Coefficient = -4.775
    """Second number of the straightening; best left as it is."""
    muon_c: Coefficient = 2.0315
    """Third number of the straightening; best left as it is."""
    momentum: Fraction = 0.95
    """Part of the last step that is carried into the next one."""
    ns_steps: Annotated[int, Field(ge=1, le=50)] = 5
    """Rounds of the straightening."""
    nesterov: bool = True
    """Whether to look ahead along the momentum."""
    rms_rate: Strength | None = 0.2
    """Size that steps are brought to, so that AdamW's learning rate fits; as they are if null."""


class ScheduleFreeAdamW(OptimizerBase):
    """AdamW that averages its weights as it goes. Use it where you do not know how long to train: it needs no schedule."""

    type: Literal["ScheduleFreeAdamW"] = "ScheduleFreeAdamW"
    learning_rate: LearningRate = 0.0025
    """Length of a step."""
    beta_1: Decay = 0.9
    """How much the averaged weights count where the slope is measured."""
    beta_2: Decay = 0.999
    """How slowly the average squared slope follows."""
    epsilon: Positive = 1e-8
    """Small number that keeps the division from failing."""
    warmup_steps: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Steps in which the length rises from 0."""


OPTIMIZERS = Family("Optimizer", OptimizerBase, "The rule by which the weights are changed.")
Optimizer = Annotated[OptimizerBase, OPTIMIZERS]
