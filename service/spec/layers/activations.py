"""Activation functions that are layers, since they have settings. Source: https://keras.io/api/layers/activation_layers."""

from typing import Literal

from service.spec.constraints import Constraint
from service.spec.initializers import Initializer
from service.spec.layers.fields import LayerBase, ManyAxes, NotNegative
from service.spec.regularizers import Regularizer


class ReLU(LayerBase):
    """Keeps positive values and turns negative ones into 0. Use it instead of `activation` for a limit or a slope, or behind a
    BatchNormalization."""

    type: Literal["ReLU"] = "ReLU"
    max_value: NotNegative | None = None
    """Largest output; unlimited if left out."""
    negative_slope: NotNegative = 0.0
    """Slope for negative inputs."""
    threshold: NotNegative = 0.0
    """Value below which an input counts as negative."""


class LeakyReLU(LayerBase):
    """Like ReLU, but lets a little of each negative value through. Use it where neurons with ReLU answer 0 for ever."""

    type: Literal["LeakyReLU"] = "LeakyReLU"
    negative_slope: NotNegative = 0.3
    """Slope for negative inputs."""


class PReLU(LayerBase):
    """Like LeakyReLU, but learns the slope for negative inputs. Use it with much data, where a fixed slope does not fit."""

    type: Literal["PReLU"] = "PReLU"
    alpha_initializer: Initializer | None = None
    """How the slopes start; Zeros if left out."""
    alpha_regularizer: Regularizer | None = None
    """Penalty on the slopes."""
    alpha_constraint: Constraint | None = None
    """What the slopes are forced to be after every step."""
    shared_axes: ManyAxes | None = None
    """Axes along which all inputs share a slope, e.g. [1, 2] for one slope per channel of an image."""


class ELU(LayerBase):
    """Like ReLU, but negative values bend smoothly towards -alpha. Use it in networks without normalization: it keeps the mean
    near 0."""

    type: Literal["ELU"] = "ELU"
    alpha: NotNegative = 1.0
    """How far below 0 the output can go."""


class Softmax(LayerBase):
    """Turns numbers into probabilities that add up to 1. Use it last for one of several classes, or over another axis than the
    last."""

    type: Literal["Softmax"] = "Softmax"
    axis: ManyAxes = -1
    """Axis along which the probabilities add up to 1; several axes count as one."""
