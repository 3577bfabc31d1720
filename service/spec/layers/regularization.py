"""Layers that keep a model from learning single rows by heart. Source: https://keras.io/api/layers/regularization_layers."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.initializers import Seed
from service.spec.layers.fields import ChannelsLast, FixedLayer, LayerBase, RandomLayer, Rate, Side
from service.spec.regularizers import Penalty

NoiseShape = Annotated[list[Side | None], Field(min_length=1, max_length=8)]


class Dropout(RandomLayer):
    """Sets a random part of the inputs to 0 in training. Use it where `val_loss` rises while `loss` falls: the model then leans
    less on single inputs."""

    type: Literal["Dropout"] = "Dropout"
    rate: Rate
    """Part of the inputs to set to 0, from 0 up to but not including 1."""
    noise_shape: NoiseShape | None = None
    """Shape of the choice, the batch axis included: 1 where all places share it, null where it is the input's size."""


class AlphaDropout(RandomLayer):
    """A Dropout that keeps mean and deviation as they were. Use it with `selu`."""

    type: Literal["AlphaDropout"] = "AlphaDropout"
    rate: Rate
    """Part of the inputs to switch off."""
    noise_shape: NoiseShape | None = None
    """Shape of the choice, the batch axis included: 1 where all places share it, null where it is the input's size."""


class SpatialDropoutLayer(FixedLayer):
    rate: Rate
    """Part of the channels to set to 0."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class SpatialDropout1D(SpatialDropoutLayer):
    """A Dropout that switches off whole channels of a sequence at once. Use it behind Conv1D or Embedding, whose neighbouring
    steps are alike."""

    type: Literal["SpatialDropout1D"] = "SpatialDropout1D"


class SpatialDropout2D(SpatialDropoutLayer):
    """A Dropout that switches off whole channels of an image at once. Use it behind Conv2D, whose neighbouring pixels are
    alike."""

    type: Literal["SpatialDropout2D"] = "SpatialDropout2D"
    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""


class SpatialDropout3D(SpatialDropoutLayer):
    """A Dropout that switches off whole channels of a volume at once. Use it behind Conv3D, whose neighbouring points are
    alike."""

    type: Literal["SpatialDropout3D"] = "SpatialDropout3D"
    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""


class GaussianNoise(RandomLayer):
    """Adds random noise in training. Use it right behind the input where data is scarce, so that the model does not learn rows by
    heart."""

    type: Literal["GaussianNoise"] = "GaussianNoise"
    stddev: Annotated[float, Field(ge=0, le=1e6)]
    """Deviation of the noise."""


class GaussianDropout(RandomLayer):
    """Multiplies the inputs by random numbers around 1 in training. Use it as a gentler Dropout."""

    type: Literal["GaussianDropout"] = "GaussianDropout"
    rate: Rate
    """How strong it is: the deviation is `sqrt(rate / (1 - rate))`."""


class ActivityRegularization(LayerBase):
    """Passes its input on and adds a penalty on large numbers in it to the loss. Use it where few neurons at a time shall
    answer."""

    type: Literal["ActivityRegularization"] = "ActivityRegularization"
    l1: Penalty = 0.0
    """Factor of the penalty on absolute values."""
    l2: Penalty = 0.0
    """Factor of the penalty on squares."""
