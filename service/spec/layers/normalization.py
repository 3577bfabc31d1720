"""Layers that bring numbers to one scale. Source: https://keras.io/api/layers/normalization_layers."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.constraints import Constraint
from service.spec.initializers import Initializer
from service.spec.layers.fields import Axis, Epsilon, LayerBase, ManyAxes, NotNegative, Number, Part, not_zero
from service.spec.regularizers import Regularizer


class ScalingLayer(LayerBase):
    """What layers have in common that learn an offset and a factor for what they have brought to one scale."""

    center: bool = True
    """Whether to add a learned offset (beta)."""
    scale: bool = True
    """Whether to multiply by a learned factor (gamma)."""
    beta_initializer: Initializer | None = None
    """How the offset starts; Zeros if left out."""
    gamma_initializer: Initializer | None = None
    """How the factor starts; Ones if left out."""
    beta_regularizer: Regularizer | None = None
    """Penalty on the offset."""
    gamma_regularizer: Regularizer | None = None
    """Penalty on the factor."""
    beta_constraint: Constraint | None = None
    """What the offset is forced to be after every step."""
    gamma_constraint: Constraint | None = None
    """What the factor is forced to be after every step."""


class BatchNormalization(ScalingLayer):
    """Rescales each feature to mean 0 and deviation 1 over the batch. Use it between convolutions, with batches of 16 or more: it
    steadies training."""

    type: Literal["BatchNormalization"] = "BatchNormalization"
    axis: Axis = -1
    """Axis that holds the features."""
    momentum: Part = 0.99
    """How slowly the running mean and variance follow the batches."""
    epsilon: Epsilon = 0.001
    """Small number that keeps the division from failing."""
    moving_mean_initializer: Initializer | None = None
    """How the running mean starts; Zeros if left out."""
    moving_variance_initializer: Initializer | None = None
    """How the running variance starts; Ones if left out."""
    renorm: bool = False
    """Whether to train with the running mean and variance too (batch renormalization), which helps with small batches."""
    renorm_clipping: dict[Literal["rmin", "rmax", "dmax"], NotNegative] | None = None
    """Limits of that correction, only with `renorm`: the smallest and largest factor and the largest offset."""
    renorm_momentum: Part = 0.99
    """How slowly the mean and variance of that correction follow the batches."""
    synchronized: bool = False
    """Whether several devices share the mean and variance of a batch."""

    @model_validator(mode="after")
    def _clips_only_what_it_does(self) -> Self:
        if self.renorm_clipping is not None and not self.renorm:
            raise PydanticCustomError("clipping_without_renorm", "'renorm_clipping' is given without 'renorm': true.")
        return self


class LayerNormalization(ScalingLayer):
    """Rescales each example to mean 0 and deviation 1 over its features, whatever the batch. Use it in transformers and recurrent
    networks."""

    type: Literal["LayerNormalization"] = "LayerNormalization"
    axis: ManyAxes = -1
    """Axes to rescale over."""
    epsilon: Epsilon = 0.001
    """Small number that keeps the division from failing."""


class GroupNormalization(ScalingLayer):
    """Rescales groups of channels of each example to mean 0 and deviation 1. Use it for images where batches are too small for
    BatchNormalization."""

    type: Literal["GroupNormalization"] = "GroupNormalization"
    groups: Annotated[int, Field(ge=-1, le=65_536), AfterValidator(not_zero)] = 32
    """Number of groups that the channels are split into; -1 makes every channel a group."""
    axis: Axis = -1
    """Axis that holds the channels."""
    epsilon: Epsilon = 0.001
    """Small number that keeps the division from failing."""


class RMSNormalization(LayerBase):
    """Divides each example by the root of its mean square. Use it as a simpler and faster LayerNormalization."""

    type: Literal["RMSNormalization"] = "RMSNormalization"
    axis: ManyAxes = -1
    """Axes to measure over."""
    epsilon: Epsilon = 1e-6
    """Small number that keeps the division from failing."""


class UnitNormalization(LayerBase):
    """Divides each example by its length, so that its squares add up to 1. Use it where only the direction matters, as before a
    Dot."""

    type: Literal["UnitNormalization"] = "UnitNormalization"
    axis: ManyAxes = -1
    """Axes to measure over."""


Numbers = Number | Annotated[list[Number], Field(min_length=1, max_length=100_000)]
Variances = NotNegative | Annotated[list[NotNegative], Field(min_length=1, max_length=100_000)]


class Normalization(LayerBase):
    """Subtracts a mean and divides by the root of a variance, both given or measured on the training rows. Use it to keep the
    scaling of arrays in the model."""

    type: Literal["Normalization"] = "Normalization"
    axis: ManyAxes | None = -1
    """Axes that have a mean and a variance each; one of all for null."""
    mean: Numbers | None = None
    """The mean, or one for each feature; left out, it is that of the training rows."""
    variance: Variances | None = None
    """The variance, or one for each feature; left out, it is that of the training rows."""
    invert: bool = False
    """Whether to go the way back instead: multiply, then add the mean."""

    @property
    def is_adapted(self) -> bool:
        """Whether nothing is given, as before `layer.adapt(x)` in Keras."""
        return self.mean is None

    @model_validator(mode="after")
    def _knows_both_or_neither(self) -> Self:
        if (self.mean is None) != (self.variance is None):
            message = "Give both 'mean' and 'variance', or leave out both: then they are measured on the training rows."
            raise PydanticCustomError("half_normalization", message)
        return self
