"""What the classes of the layer catalogue are made of: their bases, and the bounds of their sizes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.activations import Activation
from service.spec.base import KerasObject, ObjectName
from service.spec.constraints import Constraint
from service.spec.family import Family
from service.spec.initializers import Axes, AxisNumber, Initializer, Seed
from service.spec.regularizers import Regularizer

Units = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Side = Annotated[int, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Epsilon = Annotated[float, Field(gt=0, le=1)]
Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Single = Side | Annotated[list[Side], Field(min_length=1, max_length=1)]
Pair = Side | Annotated[list[Side], Field(min_length=2, max_length=2)]
Triple = Side | Annotated[list[Side], Field(min_length=3, max_length=3)]
Padding = Literal["valid", "same"]
CausalPadding = Literal["valid", "same", "causal"]
ChannelsLast = Literal["channels_last"]
Axis = AxisNumber
ManyAxes = Axes

LAYERS_TITLE = "A layer: one step from what goes into a model to what comes out."


class LayerBase(KerasObject):
    """What all layers have in common."""

    namespace: ClassVar[str] = "keras.layers"
    takes_several_inputs: ClassVar[bool] = False
    """Whether it joins the outputs of several layers, which layers in a row cannot give it."""

    name: ObjectName | None = None
    """Name of the layer, unique in the model; Keras makes one up if you leave it out."""
    trainable: bool = True
    """Whether `fit` may change the weights of this layer."""


LAYERS = Family("Layer", LayerBase, LAYERS_TITLE)
Layer = Annotated[LayerBase, LAYERS]


class FixedLayer(LayerBase):
    """A layer without weights, whose class in Keras takes no `trainable`."""

    trainable: Literal[True] = True
    """Always true: the layer has no weights."""


class ChannelsLayer(LayerBase):
    """What layers have in common that know which axis holds the channels."""

    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""


class RandomLayer(LayerBase):
    """What layers that draw random numbers have in common."""

    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class BiasedLayer(LayerBase):
    """What layers with weights and a bias have in common."""

    activation: Activation | None = None
    """Function applied to the output; left out, the weighted sum itself is the output."""
    bias_initializer: Initializer | None = None
    """How the biases b start; Zeros if left out."""
    bias_regularizer: Regularizer | None = None
    """Penalty on the biases b."""
    bias_constraint: Constraint | None = None
    """What the biases b are forced to be after every step."""


class WeightedLayer(BiasedLayer):
    """What layers with one kernel of weights have in common."""

    kernel_initializer: Initializer | None = None
    """How the weights W start; GlorotUniform if left out."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the weights W."""
    kernel_constraint: Constraint | None = None
    """What the weights W are forced to be after every step."""


class KernelLayer(WeightedLayer):
    """What layers with one kernel of weights and a bias that can be left out have in common."""

    use_bias: bool = True
    """Whether a learned constant is added to each sum."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""
