"""Constraints as data: what weights are forced to be after every step. Source: https://keras.io/api/layers/constraints."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.base import KerasObject
from service.spec.family import Family
from service.spec.initializers import Axes

Norm = Annotated[float, Field(ge=0, le=1e6)]


class ConstraintBase(KerasObject):
    namespace: ClassVar[str] = "keras.constraints"


class MaxNorm(ConstraintBase):
    """Shortens the weights of a neuron that have become longer than a limit. Use it with Dropout, or where weights grow without
    end."""

    type: Literal["MaxNorm"] = "MaxNorm"
    max_value: Norm = 2
    """Largest length (root of the sum of squares)."""
    axis: Axes = 0
    """Axes along which a length is measured: 0 measures all weights into one neuron of a Dense layer."""


class MinMaxNorm(ConstraintBase):
    """Keeps the length of a neuron's weights between two limits. Use it where they shall neither grow without end nor die
    away."""

    type: Literal["MinMaxNorm"] = "MinMaxNorm"
    min_value: Norm = 0.0
    """Smallest length."""
    max_value: Norm = 1.0
    """Largest length."""
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How much of the way to the limits is gone at each step; 1 goes all of it."""
    axis: Axes = 0
    """Axes along which a length is measured: 0 measures all weights into one neuron of a Dense layer."""


class NonNeg(ConstraintBase):
    """Turns negative weights into 0. Use it where more of an input may never mean less of the output."""

    type: Literal["NonNeg"] = "NonNeg"


class UnitNorm(ConstraintBase):
    """Gives the weights of each neuron the length 1. Use it where only their direction shall count."""

    type: Literal["UnitNorm"] = "UnitNorm"
    axis: Axes = 0
    """Axes along which a length is measured: 0 measures all weights into one neuron of a Dense layer."""


CONSTRAINTS = Family("Constraint", ConstraintBase, "What weights are forced to be after every step.")
Constraint = Annotated[ConstraintBase, CONSTRAINTS]
