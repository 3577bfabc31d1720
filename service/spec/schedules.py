"""Learning-rate schedules by step, as data. Source: https://keras.io/api/optimizers/learning_rate_schedules."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import KerasObject, ObjectName
from service.spec.family import Family

StepCount = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1e6)]


class ScheduleBase(KerasObject):
    namespace: ClassVar[str] = "keras.optimizers.schedules"

    name: ObjectName | None = None
    """Name of the schedule in graphs."""


class ExponentialDecay(ScheduleBase):
    """Multiplies the step length by `decay_rate` every `decay_steps` steps. Use it as a simple first schedule."""

    type: Literal["ExponentialDecay"] = "ExponentialDecay"
    initial_learning_rate: Positive
    """Length of the first step."""
    decay_steps: StepCount
    """Steps after which `decay_rate` has come in full."""
    decay_rate: Positive
    """What the length is multiplied by."""
    staircase: bool = False
    """Whether it changes at once every `decay_steps` steps, instead of a little each step."""


class InverseTimeDecay(ScheduleBase):
    """Divides the step length by a number that grows evenly. Use it where steps should shrink quickly first and slowly later."""

    type: Literal["InverseTimeDecay"] = "InverseTimeDecay"
    initial_learning_rate: Positive
    """Length of the first step."""
    decay_steps: StepCount
    """Steps after which the divisor has grown by `decay_rate`."""
    decay_rate: Positive
    """How much the divisor grows."""
    staircase: bool = False
    """Whether it changes at once every `decay_steps` steps, instead of a little each step."""


class PolynomialDecay(ScheduleBase):
    """Goes from one step length to another along a power of the steps done. Use it for a straight line down, as `power` 1
    gives."""

    type: Literal["PolynomialDecay"] = "PolynomialDecay"
    initial_learning_rate: Positive
    """Length of the first step."""
    decay_steps: StepCount
    """Steps after which the end is reached."""
    end_learning_rate: Rate = 0.0001
    """Length of the last steps."""
    power: Positive = 1.0
    """The power; 1 goes along a line."""
    cycle: bool = False
    """Whether to begin again, higher than the end, once it is reached."""


class CosineDecay(ScheduleBase):
    """Goes down along half a cosine, after a rise where one is wanted. Use it where the number of steps is known: it is usual for
    large models."""

    type: Literal["CosineDecay"] = "CosineDecay"
    initial_learning_rate: Rate
    """Length of the first step."""
    decay_steps: StepCount
    """Steps that the fall takes."""
    alpha: Fraction = 0.0
    """Part of the length that is left at the end."""
    warmup_target: Positive | None = None
    """Length that the rise at the beginning goes up to; no rise if left out."""
    warmup_steps: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Steps that the rise takes."""


class CosineDecayRestarts(ScheduleBase):
    """Goes down along half a cosine again and again. Use it where a fit gets stuck, or may be ended after any of them."""

    type: Literal["CosineDecayRestarts"] = "CosineDecayRestarts"
    initial_learning_rate: Positive
    """Length of the first step."""
    first_decay_steps: StepCount
    """Steps of the first fall."""
    t_mul: Annotated[float, Field(ge=1, le=1e6)] = 2.0
    """How many times longer each fall is than the one before."""
    m_mul: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of the start that the next fall begins at."""
    alpha: Fraction = 0.0
    """Part of the length that is left at the end of a fall."""


class PiecewiseConstantDecay(ScheduleBase):
    """Keeps one step length up to each boundary. Use it where a paper names the steps at which the length falls."""

    type: Literal["PiecewiseConstantDecay"] = "PiecewiseConstantDecay"
    boundaries: Annotated[list[StepCount], Field(min_length=1, max_length=1000)]
    """Steps at which the length changes, rising."""
    values: Annotated[list[Rate], Field(min_length=2, max_length=1001)]
    """Lengths: one more than there are boundaries."""

    @model_validator(mode="after")
    def _has_a_value_for_every_piece(self) -> Self:
        is_rising = all(a < b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False))
        if len(self.values) != len(self.boundaries) + 1 or not is_rising:
            reason = "'boundaries' must rise, and 'values' needs one more number than there are boundaries."
            raise PydanticCustomError("piecewise_values", "{reason}", {"reason": reason})
        return self


SCHEDULES = Family("Schedule", ScheduleBase, "How the length of a step changes from step to step.")
Schedule = Annotated[ScheduleBase, SCHEDULES]
LearningRate = Positive | Schedule
