"""What the classes of the layer catalogue are made of: their bases, and the bounds of their sizes."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from service.spec.activations import Activation
from service.spec.base import KerasObject, ObjectName
from service.spec.constraints import Constraint
from service.spec.family import Family
from service.spec.graph import Inbound
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

Path = tuple[str | int, ...]
"""Where something stands in a document."""

LAYERS_TITLE = "A layer: one step from what goes into a model to what comes out."


def not_zero(number: int) -> int:
    """The number of a field in which -1 has a meaning of its own. Raises PydanticCustomError on 0."""
    if number == 0:
        raise PydanticCustomError("zero", "Input should be an integer from 1, or -1")
    return number


class LayerBase(KerasObject):
    """What all layers have in common."""

    namespace: ClassVar[str] = "keras.layers"
    no_arguments: ClassVar[frozenset[str]] = frozenset({"type", "inbound"})
    takes: ClassVar[tuple[int, int]] = (1, 1)
    """The least and the greatest number of inputs of a call."""
    joins: ClassVar[Literal["list", "arguments", "initial_state"]] = "list"
    """How several inputs are handed to it: in a list, one after the other, or all but the first as ``initial_state``."""

    name: ObjectName | None = None
    """Name of the layer, unique in the model; Keras makes one up if you leave it out."""
    trainable: bool = True
    """Whether `fit` may change the weights of this layer."""
    inbound: Inbound | None = None
    """In a model with `inputs`: the inputs and layers whose outputs it takes, in order. A list of such lists calls the layer
    several times with the same weights; `name:1` is then the output of its second call."""

    @property
    def call_arguments(self) -> dict[str, Any]:
        """What a call is given beside its inputs."""
        return {}

    @property
    def input_counts(self) -> tuple[int, int]:
        """The least and the greatest number of inputs of a call."""
        return self.takes

    @property
    def output_count(self) -> int:
        """Number of outputs of a call."""
        return 1

    @property
    def is_adapted(self) -> bool:
        """Whether it measures what reaches it of the training rows, once, before the fit."""
        return False

    @property
    def takes_several_inputs(self) -> bool:
        """Whether it joins the outputs of several layers, which layers in a row cannot give it."""
        return self.input_counts[0] > 1


def inside(layer: LayerBase) -> Iterator[tuple[Path, LayerBase]]:
    """The layers that a layer holds, those of a model or the one that is wrapped, each after its place in it."""
    for name, value in dict(layer).items():
        if isinstance(value, LayerBase):
            yield (name,), value
        elif isinstance(value, list):
            yield from (((name, place), inner) for place, inner in enumerate(value) if isinstance(inner, LayerBase))


def everywhere(layers: list[LayerBase], path: Path = ()) -> Iterator[tuple[Path, LayerBase]]:
    """Every layer, those inside of others included, and where it stands, e.g. ``("layers", 2, "layer")``."""
    for place, layer in enumerate(layers):
        yield from _everywhere_in(layer, (*path, "layers", place))


def _everywhere_in(layer: LayerBase, path: Path) -> Iterator[tuple[Path, LayerBase]]:
    yield path, layer
    for place, inner in inside(layer):
        yield from _everywhere_in(inner, (*path, *place))


def check_stands_in_a_row(layer: LayerBase) -> LayerBase:
    """The layer itself. Raises PydanticCustomError on one that cannot be fed by the layer before it, and feed the next."""
    if layer.output_count > 1:
        message = "{type} has {count} outputs here, but layers in a row give one each to the layer behind."
        raise PydanticCustomError("several_outputs", message, {"type": layer.type, "count": layer.output_count})
    return check_stands_alone(layer)


def check_stands_alone(layer: LayerBase) -> LayerBase:
    """The layer itself. Raises PydanticCustomError on one that needs others to feed it."""
    if layer.takes_several_inputs:
        message = "{type} joins several inputs, but layers in a row get one each, from the layer before. Leave it out."
        raise PydanticCustomError("several_inputs", message, {"type": layer.type})
    if layer.inbound is not None:
        message = "'inbound' is for models with 'inputs' and 'outputs'; layers in a row are fed by the layer before."
        raise PydanticCustomError("no_graph", message)
    return layer


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
