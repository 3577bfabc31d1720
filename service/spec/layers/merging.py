"""Layers that make one of several outputs. Source: https://keras.io/api/layers/merging_layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.graph import MAX_INPUTS
from service.spec.layers.fields import Axis, LayerBase


class MergingLayer(LayerBase):
    takes: ClassVar[tuple[int, int]] = (2, MAX_INPUTS)


class Add(MergingLayer):
    """Adds its inputs number by number. Use it to skip over layers, as in a residual network."""

    type: Literal["Add"] = "Add"


class Subtract(MergingLayer):
    """Subtracts the second input from the first. Use it to compare two things, such as the outputs of a shared layer."""

    takes: ClassVar[tuple[int, int]] = (2, 2)

    type: Literal["Subtract"] = "Subtract"


class Multiply(MergingLayer):
    """Multiplies its inputs number by number. Use it for gates: one input then switches off parts of another."""

    type: Literal["Multiply"] = "Multiply"


class Average(MergingLayer):
    """Takes the mean of its inputs number by number. Use it to let several branches vote."""

    type: Literal["Average"] = "Average"


class Maximum(MergingLayer):
    """Keeps the largest of its inputs number by number. Use it where one branch that finds something is enough."""

    type: Literal["Maximum"] = "Maximum"


class Minimum(MergingLayer):
    """Keeps the smallest of its inputs number by number. Use it where all branches must agree."""

    type: Literal["Minimum"] = "Minimum"


class Concatenate(MergingLayer):
    """Puts its inputs side by side. Use it to join several inputs or branches: the layers behind see all of them."""

    type: Literal["Concatenate"] = "Concatenate"
    axis: Axis = -1
    """Axis along which they are put together; all others must have the same size."""


class Dot(MergingLayer):
    """Multiplies two inputs and adds up along an axis: large where they are alike. Use it to compare vectors, such as of people
    and films."""

    takes: ClassVar[tuple[int, int]] = (2, 2)

    type: Literal["Dot"] = "Dot"
    axes: Axis | Annotated[list[Axis], Field(min_length=2, max_length=2)]
    """Axis along which to add up, or one of each input."""
    normalize: bool = False
    """Whether to divide both by their length first, which gives their cosine."""
