"""Layers around layers, which are data of their own: `layer: {…}`. Source: https://keras.io/api/layers/recurrent_layers."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.layers.fields import FixedLayer, Layer, LayerBase, check_stands_alone, check_stands_in_a_row, inside
from service.spec.layers.recurrent import SequenceLayer

MAX_DEPTH = 4


def _is_not_deep(layer: LayerBase) -> LayerBase:
    if _depth(layer) > MAX_DEPTH:
        message = "Layers are wrapped in each other {depth} times. At most {most} times makes sense."
        raise PydanticCustomError("wrapped_too_deeply", message, {"depth": _depth(layer), "most": MAX_DEPTH})
    return layer


def _reads_sequences(layer: LayerBase) -> LayerBase:
    if not isinstance(layer, SequenceLayer):
        message = "{type} reads no sequence step by step. Use a recurrent layer such as LSTM or GRU."
        raise PydanticCustomError("not_recurrent", message, {"type": layer.type})
    return layer


def _depth(layer: LayerBase) -> int:
    """Number of layers inside each other, this one included."""
    return 1 + max((_depth(inner) for _, inner in inside(layer)), default=0)


InnerLayer = Annotated[Layer, AfterValidator(check_stands_in_a_row), AfterValidator(_is_not_deep)]
InnerSequenceLayer = Annotated[Layer, AfterValidator(_reads_sequences), AfterValidator(check_stands_alone)]


class TimeDistributed(LayerBase):
    """Applies one and the same layer to every step of a sequence. Use it for a Conv2D on each image of a film."""

    type: Literal["TimeDistributed"] = "TimeDistributed"
    layer: InnerLayer
    """The layer to apply."""


class Bidirectional(LayerBase):
    """Reads a sequence from both ends with two copies of a recurrent layer. Use it where the whole sequence is known, as with
    texts."""

    type: Literal["Bidirectional"] = "Bidirectional"
    layer: InnerSequenceLayer
    """The recurrent layer, such as an LSTM."""
    merge_mode: Literal["concat", "sum", "mul", "ave"] = "concat"
    """How the two answers become one: side by side, or their sum, product or mean."""
    backward_layer: InnerSequenceLayer | None = None
    """The layer that reads from the end, with `go_backwards: true`; a copy of the other one if left out."""

    joins: ClassVar[Literal["list", "arguments", "initial_state"]] = "initial_state"

    @property
    def input_counts(self) -> tuple[int, int]:
        """A sequence alone, or the memories to begin with, too."""
        return 1, 1 + 2 * self._states

    @property
    def output_count(self) -> int:
        """The answer, and the memories of both layers where these are asked for."""
        return 1 + 2 * self._states if getattr(self.layer, "return_state", False) else 1

    @property
    def _states(self) -> int:
        return self.layer.states if isinstance(self.layer, SequenceLayer) else 0

    @model_validator(mode="after")
    def _reads_from_both_ends(self) -> Self:
        forward, backward = self.layer, self.backward_layer
        if not isinstance(forward, SequenceLayer) or not isinstance(backward, SequenceLayer):
            return self
        is_same = (forward.return_sequences, forward.return_state) == (backward.return_sequences, backward.return_state)
        if forward.go_backwards == backward.go_backwards or not is_same:
            message = "'backward_layer' must have the other 'go_backwards' than 'layer', and the same outputs."
            raise PydanticCustomError("both_ends", message)
        return self


class SpectralNormalization(LayerBase):
    """Wraps a layer and divides its weights by their largest stretch. Use it where a layer must not amplify much, as in the judge
    of a GAN."""

    type: Literal["SpectralNormalization"] = "SpectralNormalization"
    layer: InnerLayer
    """The layer whose weights are divided: one with a kernel or with embeddings."""
    power_iterations: Annotated[int, Field(ge=1, le=100)] = 1
    """Rounds in which the stretch is estimated at each step."""

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        fields = type(self.layer).model_fields
        if isinstance(self.layer, SequenceLayer) or not {"kernel_initializer", "embeddings_initializer"} & set(fields):
            message = "{type} has no kernel to divide. Wrap one that has, such as Dense or Conv2D."
            raise PydanticCustomError("no_kernel", message, {"type": self.layer.type})
        return self


class Pipeline(FixedLayer):
    """Several preparing layers in a row that count as one. Use it for random changes of images that belong together."""

    type: Literal["Pipeline"] = "Pipeline"
    layers: Annotated[list[InnerLayer], Field(min_length=1, max_length=50)]
    """The layers, each fed by the one before it."""
