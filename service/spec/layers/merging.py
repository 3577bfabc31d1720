"""Layers that make one of several outputs. Source: https://keras.io/api/layers/merging_layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.graph import MAX_INPUTS
from service.spec.layers.fields import Axis, LayerBase


class MergingLayer(LayerBase):
    takes: ClassVar[tuple[int, int]] = (2, MAX_INPUTS)


class Add(MergingLayer):
    """Adds its inputs number by number: the way to skip over layers."""

    type: Literal["Add"] = "Add"


class Subtract(MergingLayer):
    """Subtracts the second input from the first."""

    takes: ClassVar[tuple[int, int]] = (2, 2)

    type: Literal["Subtract"] = "Subtract"


class Multiply(MergingLayer):
    """Multiplies its inputs number by number, so that one can switch off parts of another."""

    type: Literal["Multiply"] = "Multiply"


class Average(MergingLayer):
    """Takes the mean of its inputs number by number."""

    type: Literal["Average"] = "Average"


class Maximum(MergingLayer):
    """Keeps the largest of its inputs number by number."""

    type: Literal["Maximum"] = "Maximum"


class Minimum(MergingLayer):
    """Keeps the smallest of its inputs number by number."""

    type: Literal["Minimum"] = "Minimum"


class Concatenate(MergingLayer):
    """Puts its inputs side by side."""

    type: Literal["Concatenate"] = "Concatenate"
    axis: Axis = -1
    """Axis along which they are put together; all others must have the same size."""


class Dot(MergingLayer):
    """Multiplies two inputs and adds up along an axis: large where they are alike."""

    takes: ClassVar[tuple[int, int]] = (2, 2)

    type: Literal["Dot"] = "Dot"
    axes: Axis | Annotated[list[Axis], Field(min_length=2, max_length=2)]
    """Axis along which to add up, or one of each input."""
    normalize: bool = False
    """Whether to divide both by their length first, which gives their cosine."""
