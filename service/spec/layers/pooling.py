"""Layers that make sequences, images and volumes smaller. Source: https://keras.io/api/layers/pooling_layers."""

from typing import Literal

from service.spec.layers.fields import ChannelsLayer, Padding, Pair, Single, Triple


class Pooling1D(ChannelsLayer):
    pool_size: Single
    """Length of the window in steps."""
    strides: Single | None = None
    """Step of the window; the size of the window if left out."""
    padding: Padding = "valid"
    """`valid` keeps inside the sequence, `same` pads it."""


class Pooling2D(ChannelsLayer):
    pool_size: Pair
    """Height and width of the window in pixels."""
    strides: Pair | None = None
    """Step of the window; the size of the window if left out."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it."""


class Pooling3D(ChannelsLayer):
    pool_size: Triple
    """Sizes of the window along the three axes."""
    strides: Triple | None = None
    """Step of the window; the size of the window if left out."""
    padding: Padding = "valid"
    """`valid` keeps inside the volume, `same` pads it."""


class GlobalPooling(ChannelsLayer):
    keepdims: bool = False
    """Whether to keep the axes that are gone through, with size 1."""


class MaxPooling1D(Pooling1D):
    """Keeps the largest value of every few steps. Use it behind a Conv1D, to make a sequence shorter and keep what was found."""

    type: Literal["MaxPooling1D"] = "MaxPooling1D"
    aliases = ("MaxPool1D",)
    pool_size: Single = 2
    """Length of the window in steps."""


class MaxPooling2D(Pooling2D):
    """Keeps the largest value of every small window. Use it behind a Conv2D, to make an image smaller and keep what was found."""

    type: Literal["MaxPooling2D"] = "MaxPooling2D"
    aliases = ("MaxPool2D",)
    pool_size: Pair = 2
    """Height and width of the window in pixels."""


class MaxPooling3D(Pooling3D):
    """Keeps the largest value of every small window. Use it behind a Conv3D, to make a volume smaller and keep what was found."""

    type: Literal["MaxPooling3D"] = "MaxPooling3D"
    aliases = ("MaxPool3D",)
    pool_size: Triple = 2
    """Sizes of the window along the three axes."""


class AveragePooling1D(Pooling1D):
    """Takes the mean of every few steps. Use it to make a sequence shorter and smoother."""

    type: Literal["AveragePooling1D"] = "AveragePooling1D"
    aliases = ("AvgPool1D",)


class AveragePooling2D(Pooling2D):
    """Takes the mean of every small window. Use it to make an image smaller and smoother."""

    type: Literal["AveragePooling2D"] = "AveragePooling2D"
    aliases = ("AvgPool2D",)


class AveragePooling3D(Pooling3D):
    """Takes the mean of every small window. Use it to make a volume smaller and smoother."""

    type: Literal["AveragePooling3D"] = "AveragePooling3D"
    aliases = ("AvgPool3D",)


class GlobalMaxPooling1D(GlobalPooling):
    """Keeps the largest value that each channel has in the whole sequence. Use it before the last Dense, to see whether a
    pattern is anywhere."""

    type: Literal["GlobalMaxPooling1D"] = "GlobalMaxPooling1D"
    aliases = ("GlobalMaxPool1D",)


class GlobalMaxPooling2D(GlobalPooling):
    """Keeps the largest value that each channel has in the whole image. Use it before the last Dense, to see whether a
    pattern is anywhere."""

    type: Literal["GlobalMaxPooling2D"] = "GlobalMaxPooling2D"
    aliases = ("GlobalMaxPool2D",)


class GlobalMaxPooling3D(GlobalPooling):
    """Keeps the largest value that each channel has in the whole volume. Use it before the last Dense, to see whether a
    pattern is anywhere."""

    type: Literal["GlobalMaxPooling3D"] = "GlobalMaxPooling3D"
    aliases = ("GlobalMaxPool3D",)


class GlobalAveragePooling1D(GlobalPooling):
    """Takes the mean of each channel over the whole sequence. Use it before the last Dense, with far fewer weights than after
    Flatten."""

    type: Literal["GlobalAveragePooling1D"] = "GlobalAveragePooling1D"
    aliases = ("GlobalAvgPool1D",)


class GlobalAveragePooling2D(GlobalPooling):
    """Takes the mean of each channel over the whole image. Use it before the last Dense, with far fewer weights than after
    Flatten."""

    type: Literal["GlobalAveragePooling2D"] = "GlobalAveragePooling2D"
    aliases = ("GlobalAvgPool2D",)


class GlobalAveragePooling3D(GlobalPooling):
    """Takes the mean of each channel over the whole volume. Use it before the last Dense, with far fewer weights than after
    Flatten."""

    type: Literal["GlobalAveragePooling3D"] = "GlobalAveragePooling3D"
    aliases = ("GlobalAvgPool3D",)


class AdaptivePooling1D(ChannelsLayer):
    output_size: Single
    """Length of the output, whatever that of the input."""


class AdaptivePooling2D(ChannelsLayer):
    output_size: Pair
    """Height and width of the output, whatever those of the input."""


class AdaptivePooling3D(ChannelsLayer):
    output_size: Triple
    """Sizes of the output along the three axes, whatever those of the input."""


class AdaptiveMaxPooling1D(AdaptivePooling1D):
    """Cuts a sequence into a given number of windows and keeps the largest value of each. Use it where the length behind it must
    be fixed."""

    type: Literal["AdaptiveMaxPooling1D"] = "AdaptiveMaxPooling1D"


class AdaptiveMaxPooling2D(AdaptivePooling2D):
    """Cuts an image into a given number of windows and keeps the largest value of each. Use it where the size behind it must be
    fixed."""

    type: Literal["AdaptiveMaxPooling2D"] = "AdaptiveMaxPooling2D"


class AdaptiveMaxPooling3D(AdaptivePooling3D):
    """Cuts a volume into a given number of windows and keeps the largest value of each. Use it where the size behind it must be
    fixed."""

    type: Literal["AdaptiveMaxPooling3D"] = "AdaptiveMaxPooling3D"


class AdaptiveAveragePooling1D(AdaptivePooling1D):
    """Cuts a sequence into a given number of windows and takes the mean of each. Use it where the length behind it must be
    fixed."""

    type: Literal["AdaptiveAveragePooling1D"] = "AdaptiveAveragePooling1D"


class AdaptiveAveragePooling2D(AdaptivePooling2D):
    """Cuts an image into a given number of windows and takes the mean of each. Use it where the size behind it must be fixed."""

    type: Literal["AdaptiveAveragePooling2D"] = "AdaptiveAveragePooling2D"


class AdaptiveAveragePooling3D(AdaptivePooling3D):
    """Cuts a volume into a given number of windows and takes the mean of each. Use it where the size behind it must be fixed."""

    type: Literal["AdaptiveAveragePooling3D"] = "AdaptiveAveragePooling3D"
