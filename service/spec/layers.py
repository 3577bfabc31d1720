"""The layer catalogue: one strict class per Keras layer. Source: https://keras.io/api/layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from service.spec.base import KerasObject, ObjectName, accept_spellings
from service.spec.initializers import Initializer, Regularizer, Seed

Activation = Literal[
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
    "tanh_shrink", "threshold",
]  # fmt: skip
"""The name of an activation function: how a neuron turns its weighted sum into its output."""

Units = Annotated[int, Field(ge=1, le=1_000_000)]
Side = Annotated[int, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Pair = Side | Annotated[list[Side], Field(min_length=2, max_length=2)]
Padding = Literal["valid", "same"]


class LayerBase(KerasObject):
    namespace: ClassVar[str] = "keras.layers"

    name: ObjectName | None = None
    """Name of the layer, unique in the model; Keras makes one up if you leave it out."""
    trainable: bool = True
    """Whether `fit` may change the weights of this layer."""


class KernelLayer(LayerBase):
    """What layers with a kernel of weights and a bias have in common."""

    activation: Activation | None = None
    """Function applied to the output; left out, the weighted sum itself is the output."""
    use_bias: bool = True
    """Whether a learned constant is added to each sum."""
    kernel_initializer: Initializer | None = None
    """How the weights W start; GlorotUniform if left out."""
    bias_initializer: Initializer | None = None
    """How the biases b start; Zeros if left out."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the weights W."""
    bias_regularizer: Regularizer | None = None
    """Penalty on the biases b."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""


class Dense(KernelLayer):
    """Fully connected: every neuron sees every input, so it has one weight per input and one bias."""

    type: Literal["Dense"] = "Dense"
    units: Units
    """Number of neurons, which is also the number of outputs."""


class ActivationLayer(LayerBase):
    """Applies an activation function, as a layer of its own."""

    type: Literal["Activation"] = "Activation"
    activation: Activation
    """Name of the function."""


class ReLU(LayerBase):
    """Keeps positive values and turns negative ones into 0."""

    type: Literal["ReLU"] = "ReLU"
    max_value: Annotated[float, Field(ge=0)] | None = None
    """Largest output; unlimited if left out."""
    negative_slope: Annotated[float, Field(ge=0)] = 0.0
    """Slope for negative inputs."""
    threshold: Annotated[float, Field(ge=0)] = 0.0
    """Value below which an input counts as negative."""


class LeakyReLU(LayerBase):
    """Like ReLU, but lets a little of each negative value through."""

    type: Literal["LeakyReLU"] = "LeakyReLU"
    negative_slope: Annotated[float, Field(ge=0)] = 0.3
    """Slope for negative inputs."""


class ELU(LayerBase):
    """Like ReLU, but negative values bend smoothly towards -alpha."""

    type: Literal["ELU"] = "ELU"
    alpha: Annotated[float, Field(ge=0)] = 1.0
    """How far below 0 the output can go."""


class Softmax(LayerBase):
    """Turns numbers into probabilities that add up to 1."""

    type: Literal["Softmax"] = "Softmax"
    axis: Annotated[int, Field(ge=-8, le=8)] = -1
    """Axis along which the probabilities add up to 1."""


class Dropout(LayerBase):
    """Sets a random part of the inputs to 0 in training, so that the model does not lean on single ones."""

    type: Literal["Dropout"] = "Dropout"
    rate: Rate
    """Part of the inputs to set to 0, from 0 up to but not including 1."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class GaussianNoise(LayerBase):
    """Adds random noise in training, so that the model does not learn single rows by heart."""

    type: Literal["GaussianNoise"] = "GaussianNoise"
    stddev: Annotated[float, Field(ge=0, le=1e6)]
    """Deviation of the noise."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class GaussianDropout(LayerBase):
    """Multiplies the inputs by random numbers around 1 in training."""

    type: Literal["GaussianDropout"] = "GaussianDropout"
    rate: Rate
    """How strong it is: the deviation is `sqrt(rate / (1 - rate))`."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class BatchNormalization(LayerBase):
    """Rescales each feature to mean 0 and deviation 1 over the batch, which steadies training."""

    type: Literal["BatchNormalization"] = "BatchNormalization"
    axis: Annotated[int, Field(ge=-8, le=8)] = -1
    """Axis that holds the features."""
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.99
    """How slowly the running mean and variance follow the batches."""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 0.001
    """Small number that keeps the division from failing."""
    center: bool = True
    """Whether to add a learned offset (beta)."""
    scale: bool = True
    """Whether to multiply by a learned factor (gamma)."""


class Flatten(LayerBase):
    """Lays each example out as one row of numbers."""

    type: Literal["Flatten"] = "Flatten"


class Conv2D(KernelLayer):
    """Slides small filters over an image and answers where each pattern is found."""

    type: Literal["Conv2D"] = "Conv2D"
    filters: Annotated[int, Field(ge=1, le=65_536)]
    """Number of patterns, which is also the number of output channels."""
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """Step of the filter in pixels."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it so that the size stays."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter looks at."""
    groups: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Number of groups that the channels are split into."""


class MaxPooling2D(LayerBase):
    """Keeps the largest value of every small window, which makes an image smaller."""

    type: Literal["MaxPooling2D"] = "MaxPooling2D"
    aliases: ClassVar[tuple[str, ...]] = ("MaxPool2D",)
    pool_size: Pair = 2
    """Height and width of the window in pixels."""
    strides: Pair | None = None
    """Step of the window; the size of the window if left out."""
    padding: Padding = "valid"
    """`valid` keeps inside the image, `same` pads it."""


FillMode = Literal["constant", "reflect", "wrap", "nearest"]
Factor = Annotated[float, Field(ge=-1, le=1)]
Factors = Factor | Annotated[list[Factor], Field(min_length=2, max_length=2)]


class ImageAugmentation(LayerBase):
    """What layers that change images at random in training have in common."""

    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class RandomFlip(ImageAugmentation):
    """Mirrors a random half of the images in training."""

    type: Literal["RandomFlip"] = "RandomFlip"
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    """Which ways."""


class RandomRotation(ImageAugmentation):
    """Turns images by a random angle in training."""

    type: Literal["RandomRotation"] = "RandomRotation"
    factor: Factors
    """Largest angle either way as part of a whole turn, or the smallest and the largest."""
    fill_mode: FillMode = "reflect"
    """What comes in from outside of the image."""


class RandomTranslation(ImageAugmentation):
    """Shifts images at random in training."""

    type: Literal["RandomTranslation"] = "RandomTranslation"
    height_factor: Factors
    """Largest shift up and down as part of the height."""
    width_factor: Factors
    """Largest shift left and right as part of the width."""
    fill_mode: FillMode = "reflect"
    """What comes in from outside of the image."""


class RandomZoom(ImageAugmentation):
    """Makes images larger or smaller at random in training."""

    type: Literal["RandomZoom"] = "RandomZoom"
    height_factor: Factors
    """Largest change of the height as part of it; negative zooms in."""
    width_factor: Factors | None = None
    """Likewise of the width; as the height if left out."""
    fill_mode: FillMode = "reflect"
    """What comes in from outside of the image."""


class RandomContrast(ImageAugmentation):
    """Changes the contrast of images at random in training."""

    type: Literal["RandomContrast"] = "RandomContrast"
    factor: Annotated[float, Field(ge=0, le=1)]
    """Largest change as part of the contrast."""


class Embedding(LayerBase):
    """Looks up a learned vector for every whole number, such as a word's index."""

    type: Literal["Embedding"] = "Embedding"
    input_dim: Annotated[int, Field(ge=1, le=100_000_000)]
    """Number of different indices: the largest one plus 1."""
    output_dim: Annotated[int, Field(ge=1, le=65_536)]
    """Length of each vector."""
    embeddings_initializer: Initializer | None = None
    """How the vectors start; uniform random numbers if left out."""
    embeddings_regularizer: Regularizer | None = None
    """Penalty on the vectors."""
    mask_zero: bool = False
    """Whether index 0 means "nothing here", so that later layers skip it."""


class LSTM(LayerBase):
    """Reads a sequence step by step and remembers what matters (long short-term memory)."""

    type: Literal["LSTM"] = "LSTM"
    units: Annotated[int, Field(ge=1, le=16_384)]
    """Size of the memory, which is also the number of outputs."""
    activation: Activation | None = "tanh"
    """Function applied to the memory."""
    recurrent_activation: Activation | None = "sigmoid"
    """Function of the gates that decide what to keep."""
    use_bias: bool = True
    """Whether the gates add a learned constant."""
    kernel_initializer: Initializer | None = None
    """How the input weights start; GlorotUniform if left out."""
    recurrent_initializer: Initializer | None = None
    """How the memory's weights start; Orthogonal if left out."""
    bias_initializer: Initializer | None = None
    """How the biases start; Zeros if left out."""
    unit_forget_bias: bool = True
    """Whether the forget gate's bias starts at 1, so that a new model remembers."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the input weights."""
    recurrent_regularizer: Regularizer | None = None
    """Penalty on the memory's weights."""
    dropout: Rate = 0.0
    """Part of the inputs to set to 0 in training."""
    recurrent_dropout: Rate = 0.0
    """Part of the memory to set to 0 in training."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""
    return_sequences: bool = False
    """Whether to answer after every step, instead of once at the end."""
    go_backwards: bool = False
    """Whether to read the sequence from its end."""


LAYERS: tuple[type[LayerBase], ...] = (
    Dense, ActivationLayer, ReLU, LeakyReLU, ELU, Softmax, Dropout, GaussianNoise, GaussianDropout, BatchNormalization, Flatten,
    Conv2D, MaxPooling2D, RandomFlip, RandomRotation, RandomTranslation, RandomZoom, RandomContrast, Embedding, LSTM,
)  # fmt: skip
AnyLayer = Annotated[
    Dense | ActivationLayer | ReLU | LeakyReLU | ELU | Softmax | Dropout | GaussianNoise | GaussianDropout
    | BatchNormalization | Flatten | Conv2D | MaxPooling2D | RandomFlip | RandomRotation | RandomTranslation | RandomZoom
    | RandomContrast | Embedding | LSTM,
    Field(discriminator="type"),
]  # fmt: skip
Layer = Annotated[AnyLayer, BeforeValidator(accept_spellings("layer", *LAYERS), json_schema_input_type=AnyLayer)]
