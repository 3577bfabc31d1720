"""The architecture of a model as data."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.errors import Problem
from service.spec.base import Spec
from service.spec.graph import Graph, connect, in_a_row
from service.spec.keras_json import Origin, read_keras_json
from service.spec.layers.fields import LayerBase, check_stands_in_a_row, everywhere
from service.spec.layers.models import Functional, Inputs, Layers, Outputs, RowShape, check_can_adapt, check_nesting

INPUT, OUTPUT = "input", "output"
"""Names of the tensors that go into a Sequential and come out of it."""
MAX_LAYERS_IN_A_ROW = 500


class Definition(Spec):
    """A `keras.Sequential`: `layers` in a row, each fed by the one before it. With `inputs` and `outputs` a functional
    `keras.Model`: a graph of layers that name what goes into them. Or `{"keras": …}` with what `model.to_json()` of either
    gives, as text or as JSON."""

    inputs: Inputs | None = None
    """What goes into a functional model."""
    layers: Layers
    """The layers, from input to output; in a functional model each with a `name` and with `inbound`, the names of the inputs
    and layers whose outputs it takes."""
    outputs: Outputs | None = None
    """Names of the layers whose outputs come out of a functional model."""
    input_shape: RowShape | None = None
    """Shape of one example of a Sequential without the batch axis; left out, it is taken from the dataset, as Keras does."""
    _origin: Origin | None = None

    @cached_property
    def graph(self) -> Graph:
        """How the layers hang together."""
        if self.inputs is None or self.outputs is None:
            return in_a_row(self.layers)
        return connect(self.inputs, self.layers, self.outputs)

    @property
    def is_functional(self) -> bool:
        """Whether its layers name what goes into them."""
        return self.inputs is not None

    def as_sent(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with their places in the document that the client has sent, where that was one of Keras's own."""
        if self._origin is None:
            return list(problems)
        return [replace(problem, pointer=self._origin.pointer(problem.pointer)) for problem in problems]

    @property
    def holds_graph(self) -> bool:
        """Whether anywhere in it the output of a layer may go into several others."""
        return self.is_functional or any(isinstance(layer, Functional) for _, layer in everywhere(self.layers))

    @property
    def input_names(self) -> list[str]:
        """Name of each input."""
        return [INPUT] if self.inputs is None else [entry.name for entry in self.inputs]

    @property
    def input_shapes(self) -> list[RowShape | None]:
        """Shape of one example of each input; None where the data decides."""
        return [self.input_shape] if self.inputs is None else [entry.shape for entry in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Name of each output: in a functional model, as in Keras, that of its layer."""
        return [OUTPUT] if self.outputs is None else [reference.partition(":")[0] for reference in self.outputs]

    def shape_pointer(self, number: int) -> str:
        """Where the document says, or would say, what shape an input has."""
        return "/definition/input_shape" if self.inputs is None else f"/definition/inputs/{number}/shape"

    @model_validator(mode="wrap")
    @classmethod
    def _from_keras(cls, value: Any, validate: Any) -> Any:
        if not (isinstance(value, dict) and value.keys() == {"keras"}):
            return validate(value)
        try:
            document, origin = read_keras_json(value["keras"])
        except PydanticCustomError as error:
            raise cls._refused(("keras",), error) from error
        try:
            definition = validate(document)
        except ValidationError as error:
            raise origin.retrace(error) from error
        definition._origin = origin
        return definition

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        check_nesting(self.layers)
        if self.inputs is None and self.outputs is None:
            self._check_row()
        elif self.inputs is None or self.outputs is None:
            message = "A functional model has both 'inputs' and 'outputs', a Sequential has neither."
            raise PydanticCustomError("half_a_graph", message)
        elif self.input_shape is not None:
            raise PydanticCustomError("shape_of_graph", "A functional model has a 'shape' for each of its 'inputs'.")
        else:
            _ = self.graph  # which raises what is wrong with it
            self._check_outputs()
        self._check_each(check_can_adapt)
        return self

    def _check_row(self) -> None:
        if len(self.layers) > MAX_LAYERS_IN_A_ROW:
            message = "{count} layers stand in a row. At most {most} can."
            raise PydanticCustomError("too_many_layers", message, {"count": len(self.layers), "most": MAX_LAYERS_IN_A_ROW})
        self._check_each(check_stands_in_a_row)
        counts = Counter(layer.name for layer in self.layers if layer.name is not None)
        for name, count in counts.items():
            if count > 1:
                raise PydanticCustomError(
                    "duplicate_layer_name",
                    "{count} layers are named '{name}'. Give every layer a name of its own.",
                    {"count": count, "name": name},
                )

    def _check_each(self, check: Callable[[LayerBase], object]) -> None:
        """Raise ValidationError with the place of a layer that does not pass."""
        for place, layer in enumerate(self.layers):
            try:
                check(layer)
            except PydanticCustomError as error:
                raise self._refused(("layers", place), error) from error

    def _check_outputs(self) -> None:
        """Keras, and everybody who asks for predictions, knows an output by the name of its layer."""
        for place, name in enumerate(self.output_names):
            if name in self.input_names or name in self.output_names[:place]:
                what = "is an input" if name in self.input_names else "gives another output already, which has its name"
                message = "'{name}' {what}. Put a layer such as Identity behind it, and name that one."
                error = PydanticCustomError("output_name", message, {"name": name, "what": what})
                raise self._refused(("outputs", place), error)

    @staticmethod
    def _refused(loc: tuple[str | int, ...], error: PydanticCustomError) -> ValidationError:
        return ValidationError.from_exception_data("Definition", [InitErrorDetails(type=error, loc=loc, input=None)])
