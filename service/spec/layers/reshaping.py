"""Layers that change the shape only. Source: https://keras.io/api/layers/reshaping_layers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from service.spec.layers.fields import ChannelsLayer, LayerBase, not_zero

Length = Annotated[int, Field(ge=-1, le=100_000_000), AfterValidator(not_zero)]
Margin = Annotated[int, Field(ge=0, le=4096)]
Margins = Annotated[list[Margin], Field(min_length=2, max_length=2)]
MarginOfAxis = Margin | Margins
Factor = Annotated[int, Field(ge=1, le=256)]


class Flatten(ChannelsLayer):
    """Lays each example out as one row of numbers. Use it between images or sequences and a Dense layer."""

    type: Literal["Flatten"] = "Flatten"


class Reshape(LayerBase):
    """Gives each example another shape, with the same numbers in the same order. Use it to make an image of a row of pixels."""

    type: Literal["Reshape"] = "Reshape"
    target_shape: Annotated[list[Length], Field(min_length=0, max_length=8)]
    """The shape without the batch axis; -1 for one size that follows from the others."""

    @field_validator("target_shape")
    @classmethod
    def _leaves_one_size_open(cls, lengths: list[int]) -> list[int]:
        if lengths.count(-1) > 1:
            raise PydanticCustomError("several_open_sizes", "Only one size can follow from the others. Write -1 once.")
        return lengths


class Permute(LayerBase):
    """Puts the axes of each example into another order. Use it where a layer works along another axis than yours."""

    type: Literal["Permute"] = "Permute"
    dims: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=1, max_length=8)]
    """Numbers of the axes in their new order; the first one behind the batch is 1."""

    @field_validator("dims")
    @classmethod
    def _has_every_axis_once(cls, dims: list[int]) -> list[int]:
        if sorted(dims) != list(range(1, len(dims) + 1)):
            message = "Input should be the numbers from 1 to {axes}, each once"
            raise PydanticCustomError("no_permutation", message, {"axes": len(dims)})
        return dims


class RepeatVector(LayerBase):
    """Repeats each example as the steps of a sequence. Use it between an encoder and a decoder of sequences."""

    type: Literal["RepeatVector"] = "RepeatVector"
    n: Annotated[int, Field(ge=1, le=65_536)]
    """Number of steps."""


class Cropping1D(LayerBase):
    """Cuts steps off both ends of a sequence. Use it where the ends are noise, or to match the length of another branch."""

    type: Literal["Cropping1D"] = "Cropping1D"
    cropping: MarginOfAxis = [1, 1]
    """Steps to cut off: as many at both ends, or `[begin, end]`."""


class Cropping2D(ChannelsLayer):
    """Cuts pixels off the edges of an image. Use it where the edges are empty, or to match the size of another branch."""

    type: Literal["Cropping2D"] = "Cropping2D"
    cropping: Margin | Annotated[list[MarginOfAxis], Field(min_length=2, max_length=2)] = [[0, 0], [0, 0]]
    """Pixels to cut off: as many everywhere, `[vertical, horizontal]`, or `[[top, bottom], [left, right]]`."""


class Cropping3D(ChannelsLayer):
    """Cuts points off the sides of a volume. Use it where the sides are empty, or to match the size of another branch."""

    type: Literal["Cropping3D"] = "Cropping3D"
    cropping: Margin | Annotated[list[MarginOfAxis], Field(min_length=3, max_length=3)] = [[1, 1], [1, 1], [1, 1]]
    """Points to cut off: as many everywhere, one number for each axis, or `[begin, end]` for each."""


class ZeroPadding1D(ChannelsLayer):
    """Adds steps of zeros to both ends of a sequence. Use it so that filters reach the ends, or to match another length."""

    type: Literal["ZeroPadding1D"] = "ZeroPadding1D"
    padding: MarginOfAxis = 1
    """Steps to add: as many at both ends, or `[begin, end]`."""


class ZeroPadding2D(ChannelsLayer):
    """Adds pixels of zeros to the edges of an image. Use it so that filters reach the edges, or to match another size."""

    type: Literal["ZeroPadding2D"] = "ZeroPadding2D"
    padding: Margin | Annotated[list[MarginOfAxis], Field(min_length=2, max_length=2)] = 1
    """Pixels to add: as many everywhere, `[vertical, horizontal]`, or `[[top, bottom], [left, right]]`."""


class ZeroPadding3D(ChannelsLayer):
    """Adds points of zeros to the sides of a volume. Use it so that filters reach the sides, or to match another size."""

    type: Literal["ZeroPadding3D"] = "ZeroPadding3D"
    padding: Margin | Annotated[list[MarginOfAxis], Field(min_length=3, max_length=3)] = [[1, 1], [1, 1], [1, 1]]
    """Points to add: as many everywhere, one number for each axis, or `[begin, end]` for each."""


class UpSampling1D(LayerBase):
    """Repeats every step of a sequence. Use it before a Conv1D in a decoder, to make sequences longer."""

    type: Literal["UpSampling1D"] = "UpSampling1D"
    size: Factor = 2
    """How many times longer."""


class UpSampling2D(ChannelsLayer):
    """Repeats every pixel, or draws between pixels. Use it before a Conv2D in a decoder, to make images larger without
    learning."""

    type: Literal["UpSampling2D"] = "UpSampling2D"
    size: Factor | Annotated[list[Factor], Field(min_length=2, max_length=2)] = 2
    """How many times higher and wider; one number stands for both."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "nearest"
    """How new pixels come from old ones."""


class UpSampling3D(ChannelsLayer):
    """Repeats every point of a volume. Use it before a Conv3D in a decoder, to make volumes larger."""

    type: Literal["UpSampling3D"] = "UpSampling3D"
    size: Factor | Annotated[list[Factor], Field(min_length=3, max_length=3)] = 2
    """How many times larger along each axis; one number stands for all."""
