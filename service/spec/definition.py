"""The architecture of a model as data."""

from collections import Counter
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import Spec
from service.spec.keras_json import read_keras_json
from service.spec.layers import Layer, LayerBase

Dimension = Annotated[int, Field(ge=1, le=100_000_000)]


def _takes_one_input(layer: LayerBase) -> LayerBase:
    if layer.takes_several_inputs:
        message = "{type} joins several inputs, but layers in a row get one each, from the layer before. Leave it out."
        raise PydanticCustomError("several_inputs", message, {"type": layer.type})
    return layer


class Definition(Spec):
    """A `keras.Sequential`: layers in a row, each fed by the one before it. Or `{"keras": …}` with what `model.to_json()` of one
    gives, as text or as JSON."""

    layers: Annotated[list[Annotated[Layer, AfterValidator(_takes_one_input)]], Field(min_length=1, max_length=500)]
    """The layers, from input to output."""
    input_shape: Annotated[list[Dimension | None], Field(min_length=1, max_length=5)] | None = None
    """Shape of one example without the batch axis; left out, it is taken from the dataset, as Keras does."""

    @model_validator(mode="before")
    @classmethod
    def _from_keras(cls, value: Any) -> Any:
        return read_keras_json(value["keras"]) if isinstance(value, dict) and value.keys() == {"keras"} else value

    @model_validator(mode="after")
    def _layer_names_are_unique(self) -> Self:
        counts = Counter(layer.name for layer in self.layers if layer.name is not None)
        for name, count in counts.items():
            if count > 1:
                raise PydanticCustomError(
                    "duplicate_layer_name",
                    "{count} layers are named '{name}'. Give every layer a name of its own.",
                    {"count": count, "name": name},
                )
        return self
