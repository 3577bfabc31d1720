"""Layers that slide small filters over sequences, images or volumes. Source: https://keras.io/api/layers/convolution_layers."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.constraints import Constraint
from service.spec.initializers import Initializer
from service.spec.layers.fields import (
    BiasedLayer,
    CausalPadding,
    ChannelsLast,
    KernelLayer,
    Padding,
    Pair,
    Single,
    Triple,
    Width,
)
from service.spec.regularizers import Regularizer

Extra = Annotated[int, Field(ge=0, le=4095)]


class ConvolutionLayer(KernelLayer):
    """What layers with filters have in common."""

    filters: Width
    """Number of patterns, which is also the number of output channels."""
    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""


class DirectConvolutionLayer(ConvolutionLayer):
    groups: Width = 1
    """Number of groups that the channels are split into; each filter sees one of them."""


class Conv1D(DirectConvolutionLayer):
    """Slides small filters along a sequence and answers where each pattern is found. Use it for sensor data, sound and texts."""

    type: Literal["Conv1D"] = "Conv1D"
    aliases = ("Convolution1D",)
    kernel_size: Single
    """Length of a filter in steps."""
    strides: Single = 1
    """Step of the filter."""
    padding: CausalPadding = "valid"
    """`valid` keeps inside the sequence, `same` pads it so that the length stays, `causal` pads the beginning only."""
    dilation_rate: Single = 1
    """Spacing between the steps that a filter looks at."""


class Conv2D(DirectConvolutionLayer):
    """Slides small filters over an image and answers where each pattern is found. Use it for images: it is their usual first
    layer."""

    type: Literal["Conv2D"] = "Conv2D"
    aliases = ("Convolution2D",)
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """Step of the filter in pixels."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it so that the size stays."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter looks at."""


class Conv3D(DirectConvolutionLayer):
    """Slides small filters through a volume and answers where each pattern is found. Use it for scans and films."""

    type: Literal["Conv3D"] = "Conv3D"
    aliases = ("Convolution3D",)
    kernel_size: Triple
    """Sizes of a filter along the three axes; one number stands for all."""
    strides: Triple = 1
    """Step of the filter."""
    padding: Padding = "valid"
    """`valid` keeps inside the volume, `same` pads it so that the size stays."""
    dilation_rate: Triple = 1
    """Spacing between the points that a filter looks at."""


class Conv1DTranspose(ConvolutionLayer):
    """The way back of Conv1D: spreads every step over several. Use it to make sequences longer, such as in a decoder of sound."""

    type: Literal["Conv1DTranspose"] = "Conv1DTranspose"
    aliases = ("Convolution1DTranspose",)
    kernel_size: Single
    """Length of a filter in steps."""
    strides: Single = 1
    """How many times longer the sequence becomes."""
    padding: Padding = "valid"
    """`valid` adds what the filters reach beyond the ends, `same` cuts it off."""
    output_padding: Extra | Annotated[list[Extra], Field(min_length=1, max_length=1)] | None = None
    """Steps that are added to one end of the output; less than `strides`."""
    dilation_rate: Single = 1
    """Spacing between the steps that a filter writes to."""


class Conv2DTranspose(ConvolutionLayer):
    """The way back of Conv2D: spreads every pixel over several. Use it to make images larger, such as in an autoencoder or for
    masks."""

    type: Literal["Conv2DTranspose"] = "Conv2DTranspose"
    aliases = ("Convolution2DTranspose",)
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """How many times larger the image becomes."""
    padding: Padding = "valid"
    """`valid` adds what the filters reach beyond the edges, `same` cuts it off."""
    output_padding: Extra | Annotated[list[Extra], Field(min_length=2, max_length=2)] | None = None
    """Pixels that are added to one edge of the output; fewer than `strides`."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter writes to."""


class Conv3DTranspose(ConvolutionLayer):
    """The way back of Conv3D: spreads every point over several. Use it to make volumes larger, such as in a decoder of scans."""

    type: Literal["Conv3DTranspose"] = "Conv3DTranspose"
    aliases = ("Convolution3DTranspose",)
    kernel_size: Triple
    """Sizes of a filter along the three axes; one number stands for all."""
    strides: Triple = 1
    """How many times larger the volume becomes."""
    padding: Padding = "valid"
    """`valid` adds what the filters reach beyond the edges, `same` cuts it off."""
    output_padding: Extra | Annotated[list[Extra], Field(min_length=3, max_length=3)] | None = None
    """Points that are added to one edge of the output; fewer than `strides`."""
    dilation_rate: Triple = 1
    """Spacing between the points that a filter writes to."""


class DepthwiseLayer(BiasedLayer):
    """What layers have in common that give every channel filters of its own."""

    use_bias: bool = True
    """Whether a learned constant is added to each sum."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""
    depth_multiplier: Width = 1
    """Number of filters for each channel."""
    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""
    depthwise_initializer: Initializer | None = None
    """How the filters of each channel start; GlorotUniform if left out."""
    depthwise_regularizer: Regularizer | None = None
    """Penalty on the filters of each channel."""
    depthwise_constraint: Constraint | None = None
    """What the filters of each channel are forced to be after every step."""


class DepthwiseConv1D(DepthwiseLayer):
    """Slides filters along every channel of a sequence by itself. Use it where channels shall stay apart, or weights be few."""

    type: Literal["DepthwiseConv1D"] = "DepthwiseConv1D"
    kernel_size: Single
    """Length of a filter in steps."""
    strides: Single = 1
    """Step of the filter."""
    padding: CausalPadding = "valid"
    """`valid` keeps inside the sequence, `same` pads it so that the length stays, `causal` pads the beginning only."""
    dilation_rate: Single = 1
    """Spacing between the steps that a filter looks at."""


class DepthwiseConv2D(DepthwiseLayer):
    """Slides filters over every channel of an image by itself. Use it in small networks, such as for phones, before a Conv2D of
    size 1."""

    type: Literal["DepthwiseConv2D"] = "DepthwiseConv2D"
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """Step of the filter in pixels."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it so that the size stays."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter looks at."""


class SeparableLayer(DepthwiseLayer):
    """What layers have in common that first filter every channel by itself and then mix the channels."""

    filters: Width
    """Number of mixtures, which is also the number of output channels."""
    pointwise_initializer: Initializer | None = None
    """How the weights of the mixtures start; GlorotUniform if left out."""
    pointwise_regularizer: Regularizer | None = None
    """Penalty on the weights of the mixtures."""
    pointwise_constraint: Constraint | None = None
    """What the weights of the mixtures are forced to be after every step."""


class SeparableConv1D(SeparableLayer):
    """Like Conv1D with far fewer weights: filters every channel by itself, then mixes the channels. Use it for small, fast
    networks."""

    type: Literal["SeparableConv1D"] = "SeparableConv1D"
    aliases = ("SeparableConvolution1D",)
    kernel_size: Single
    """Length of a filter in steps."""
    strides: Single = 1
    """Step of the filter."""
    padding: CausalPadding = "valid"
    """`valid` keeps inside the sequence, `same` pads it so that the length stays, `causal` pads the beginning only."""
    dilation_rate: Single = 1
    """Spacing between the steps that a filter looks at."""


class SeparableConv2D(SeparableLayer):
    """Like Conv2D with far fewer weights: filters every channel by itself, then mixes the channels. Use it for small, fast
    networks."""

    type: Literal["SeparableConv2D"] = "SeparableConv2D"
    aliases = ("SeparableConvolution2D",)
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """Step of the filter in pixels."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it so that the size stays."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter looks at."""
