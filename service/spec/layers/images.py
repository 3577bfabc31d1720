"""Layers that prepare images, mostly in the same way always. Source: https://keras.io/api/layers/preprocessing_layers."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from service.spec.layers.fields import ChannelsLayer, LayerBase, NotNegative, Number, RandomLayer, Side

ValueRange = Annotated[list[Number], Field(min_length=2, max_length=2)]


class Resizing(ChannelsLayer):
    """Brings images to one size. Use it where the layers behind it want another size than the data has."""

    type: Literal["Resizing"] = "Resizing"
    height: Side
    """Height of the result in pixels."""
    width: Side
    """Width of the result in pixels."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    """How new pixels come from old ones."""
    crop_to_aspect_ratio: bool = False
    """Whether to cut off what does not fit, instead of distorting the image."""
    pad_to_aspect_ratio: bool = False
    """Whether to add edges, instead of distorting the image."""
    fill_mode: Literal["constant"] = "constant"
    """What the added edges hold: `fill_value`."""
    fill_value: Number = 0.0
    """Value of the added edges."""
    antialias: bool = False
    """Whether to blur what is made smaller, so that no patterns appear."""


class CenterCrop(ChannelsLayer):
    """Cuts out the middle of images; smaller ones are made larger first. Use it where the edges do not matter."""

    type: Literal["CenterCrop"] = "CenterCrop"
    height: Side
    """Height of the result in pixels."""
    width: Side
    """Width of the result in pixels."""


class RandomCrop(RandomLayer):
    """Cuts out a random piece of images in training, and leaves them whole in predictions. Use it before layers that take any
    size, such as GlobalAveragePooling2D."""

    type: Literal["RandomCrop"] = "RandomCrop"
    height: Side
    """Height of the result in pixels."""
    width: Side
    """Width of the result in pixels."""
    data_format: Literal["channels_last"] | None = None
    """Where the channels stand: behind all other axes, always."""


class TrainingOnly(NamedTuple):
    """A layer that leaves images as they are in predictions and validation, although it changes none at random."""

    consequence: str
    fix: str


TRAINING_ONLY = {
    "RandomCrop": TrainingOnly(
        "so the layers behind it must take both the pieces and the whole images",
        "Put layers behind it that take any size, e.g. GlobalAveragePooling2D instead of Flatten, or use CenterCrop.",
    ),
    "Equalization": TrainingOnly(
        "so the model would predict from images that are like none it has learnt from",
        "Use AutoContrast or ContrastLimitedAdaptiveHistogramEqualization, which do the same always.",
    ),
}
"""Layers of Keras 3.15 that do in training only what one expects of them always."""


class AutoContrast(LayerBase):
    """Stretches the brightness of each image over the whole range. Use it where some images are dull."""

    type: Literal["AutoContrast"] = "AutoContrast"
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class Equalization(ChannelsLayer):
    """Spreads the brightness of each channel evenly, in training only: predictions get images as they are. Use it to train for
    varying light."""

    type: Literal["Equalization"] = "Equalization"
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""
    bins: Annotated[int, Field(ge=2, le=65_536)] = 256
    """Number of steps of brightness that are told apart."""


class ContrastLimitedAdaptiveHistogramEqualization(ChannelsLayer):
    """Spreads the brightness of each part of an image evenly (CLAHE). Use it for scans and X-rays, where details hide in dark or
    bright parts."""

    type: Literal["ContrastLimitedAdaptiveHistogramEqualization"] = "ContrastLimitedAdaptiveHistogramEqualization"
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""
    clip_limit: NotNegative = 4.0
    """How much contrast an even part may gain, so that noise does not show."""
    tile_grid_size: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=2, max_length=2)] = [8, 8]
    """Number of parts from top to bottom and from left to right."""
