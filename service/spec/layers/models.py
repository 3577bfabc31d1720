"""Whole models as layers of a model: ``keras.Sequential`` and ``keras.Model``. Source: https://keras.io/api/models."""

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import ObjectName, Spec
from service.spec.graph import MAX_INPUTS, Graph, Reference, calls_of, connect, in_a_row
from service.spec.layers.fields import Layer, LayerBase, check_stands_in_a_row, everywhere, inside

MAX_LAYERS = 900
"""Layers of a model, those of models inside it included: Keras walks through them by recursion."""
MAX_STEPS = 2000
"""Calls of layers in a model: shared models inside each other multiply them."""
MAX_NESTED = 6
"""Models inside each other."""

Dimension = Annotated[int, Field(ge=1, le=100_000_000)]
RowShape = Annotated[list[Dimension | None], Field(min_length=1, max_length=5)]
Layers = Annotated[list[Layer], Field(min_length=1, max_length=MAX_LAYERS)]
LayerInARow = Annotated[Layer, AfterValidator(check_stands_in_a_row)]
LayersInARow = Annotated[list[LayerInARow], Field(min_length=1, max_length=MAX_LAYERS)]
Outputs = Annotated[list[Reference], Field(min_length=1, max_length=MAX_INPUTS)]


class ModelInput(Spec):
    """Something that goes into a model: a `keras.Input`."""

    name: ObjectName
    """Name of the input, by which layers take it, and rows and columns are given to it."""
    shape: RowShape | None = None
    """Shape of one example without the batch axis; left out, it is taken from the dataset."""
    dtype: Literal["float32", "int32", "int64"] = "float32"
    """What its numbers are turned into; an Embedding takes either."""


class InnerInput(ModelInput):
    """Something that goes into a model inside another one."""

    shape: RowShape
    """Shape of one example without the batch axis."""


Inputs = Annotated[list[ModelInput], Field(min_length=1, max_length=MAX_INPUTS)]
InnerInputs = Annotated[list[InnerInput], Field(min_length=1, max_length=MAX_INPUTS)]


class NestedModel(LayerBase):
    """What models inside a model have in common."""

    namespace: ClassVar[str] = "keras"
    layers: list[Layer]

    @cached_property
    def graph(self) -> Graph:
        """How the layers hang together."""
        return in_a_row(self.layers)


class Sequential(NestedModel):
    """Layers in a row that count as one layer. Use it for a part that is used twice, such as an encoder."""

    no_arguments: ClassVar[frozenset[str]] = NestedModel.no_arguments | {"input_shape"}

    type: Literal["Sequential"] = "Sequential"
    layers: LayersInARow
    """The layers, each fed by the one before it."""
    input_shape: RowShape | None = None
    """Shape of one example without the batch axis; left out, it is what goes in."""

    @model_validator(mode="after")
    def _is_not_too_deep(self) -> Self:
        check_nesting(self.layers)
        return self


class Functional(NestedModel):
    """A graph of layers that counts as one layer: a `keras.Model` with its own inputs and outputs. Use it for a block with
    branches."""

    type: Literal["Functional"] = "Functional"
    aliases = ("Model",)
    inputs: InnerInputs
    """What goes in."""
    layers: Layers
    """The layers, each with a `name` and with `inbound`: the names of what goes into it."""
    outputs: Outputs
    """Names of the layers whose outputs come out."""

    @cached_property
    def graph(self) -> Graph:
        """How the layers hang together."""
        return connect(self.inputs, self.layers, self.outputs)

    @property
    def input_counts(self) -> tuple[int, int]:
        """As many as it has."""
        return len(self.inputs), len(self.inputs)

    @property
    def output_count(self) -> int:
        """As many as it has."""
        return len(self.outputs)

    @model_validator(mode="after")
    def _is_connected(self) -> Self:
        check_nesting(self.layers)
        _ = self.graph  # which raises what is wrong with it
        return self


def check_nesting(layers: list[LayerBase]) -> None:
    """Raise PydanticCustomError where models lie too deep inside each other, or have too many layers altogether."""
    depth, count = max(map(_depth, layers), default=0), sum(1 for _ in everywhere(layers))
    if depth > MAX_NESTED:
        message = "Models are nested in each other {depth} times. At most {most} times makes sense."
        raise PydanticCustomError("nested_too_deeply", message, {"depth": depth, "most": MAX_NESTED})
    if count > MAX_LAYERS:
        message = "The model has {count} layers, those of models inside it included. At most {most} can be built."
        raise PydanticCustomError("too_many_layers", message, {"count": count, "most": MAX_LAYERS})
    steps = count_steps(layers)
    if steps > MAX_STEPS:
        message = (
            "The model computes {count} layers, those that are called several times counted as often. At most {most} can be."
        )
        raise PydanticCustomError("too_many_steps", message, {"count": min(steps, 10**12), "most": MAX_STEPS})


def count_steps(layers: list[LayerBase]) -> int:
    """Number of calls of layers, those inside of others included: each as often as what it stands in is called."""
    return sum(len(calls_of(layer)) * (1 + count_steps([inner for _, inner in inside(layer)])) for layer in layers)


def check_can_adapt(layer: LayerBase) -> None:
    """Raise PydanticCustomError where it is not clear what a layer shall measure before the fit, itself or one inside it."""
    adapted = next((inner for _, inner in everywhere([layer]) if inner.is_adapted), None)
    if adapted is None:
        return
    facts = {"name": adapted.name or adapted.type, "model": layer.name or layer.type, "count": len(calls_of(layer))}
    if len(calls_of(layer)) > 1:
        what = "It" if adapted is layer else "'{model}', which it is part of,"
        message = "'{name}' has no 'mean' and 'variance', which are then measured before the fit on what reaches it. "
        message += f"{what} is called {{count}} times, which leaves open what that is. Give it both."
        raise PydanticCustomError("adapted_twice", message, facts)
    if isinstance(layer, NestedModel):
        for inner in layer.layers:
            check_can_adapt(inner)
    elif adapted is not layer:
        message = "'{name}' inside '{model}' cannot be measured on the training rows. "
        message += "Give it 'mean' and 'variance', or put it before '{model}'."
        raise PydanticCustomError("adapted_inside", message, facts)


def _depth(layer: LayerBase) -> int:
    """Number of models inside each other, this one included."""
    deepest = max((_depth(inner) for _, inner in inside(layer)), default=0)
    return deepest + 1 if isinstance(layer, NestedModel) else deepest
