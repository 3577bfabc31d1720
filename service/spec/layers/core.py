"""Layers that most networks are made of. Source: https://keras.io/api/layers/core_layers."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from service.spec.activations import Activation
from service.spec.constraints import Constraint
from service.spec.initializers import Initializer
from service.spec.layers.fields import KernelLayer, LayerBase, Number, Units, WeightedLayer, Width
from service.spec.regularizers import Regularizer

EinsumEquation = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z]{0,8}(\.\.\.)?[a-zA-Z]{0,8},[a-zA-Z]{1,8}->[a-zA-Z]{0,8}(\.\.\.)?[a-zA-Z]{0,8}$")
]
EinsumAxes = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z]{1,8}$")]


class Dense(KernelLayer):
    """Fully connected: every neuron sees every input, with one weight for each and a bias. Use it for tables, and as the last
    layer of nearly every model."""

    type: Literal["Dense"] = "Dense"
    units: Units
    """Number of neurons, which is also the number of outputs."""


class EinsumDense(WeightedLayer):
    """A Dense layer over axes of your choice, written as an equation of letters. Use it where Dense, which works along the last
    axis, does not fit."""

    type: Literal["EinsumDense"] = "EinsumDense"
    equation: EinsumEquation
    """Letters of the input's axes, those of the weights, and those of the output, e.g. `abc,cd->abd`."""
    output_shape: Units | Annotated[list[Units | None], Field(min_length=1, max_length=8)]
    """Shape of the output without the batch axis; null where a size comes from the input."""
    bias_axes: EinsumAxes | None = None
    """Letters of the output's axes that have a bias; no bias if left out."""


class ActivationLayer(LayerBase):
    """Applies an activation function, as a layer of its own. Use it where another layer, such as BatchNormalization, comes before
    the function."""

    type: Literal["Activation"] = "Activation"
    activation: Activation
    """Name of the function."""


class Identity(LayerBase):
    """Passes its input on as it is. Use it to give an output a name, or to keep a place free."""

    type: Literal["Identity"] = "Identity"


class Embedding(LayerBase):
    """Looks up a learned vector for every whole number. Use it first for words of a text, and for categories with many values."""

    type: Literal["Embedding"] = "Embedding"
    input_dim: Annotated[int, Field(ge=1, le=100_000_000)]
    """Number of different indices: the largest one plus 1."""
    output_dim: Width
    """Length of each vector."""
    embeddings_initializer: Initializer | None = None
    """How the vectors start; uniform random numbers if left out."""
    embeddings_regularizer: Regularizer | None = None
    """Penalty on the vectors."""
    embeddings_constraint: Constraint | None = None
    """What the vectors are forced to be after every step."""
    mask_zero: bool = False
    """Whether index 0 means "nothing here", so that later layers skip it."""


class Masking(LayerBase):
    """Makes later layers skip every step of a sequence whose numbers all have one value. Use it before recurrent layers where
    sequences were filled up."""

    type: Literal["Masking"] = "Masking"
    mask_value: Number = 0.0
    """The value that means "nothing here"."""
