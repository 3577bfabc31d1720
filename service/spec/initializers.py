"""Initializers as data: how weights start. Source: https://keras.io/api/layers/initializers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.base import KerasObject
from service.spec.family import Family

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Spread = Annotated[float, Field(ge=0, le=1e6)]
AxisNumber = Annotated[int, Field(ge=-8, le=8)]
AxisList = Annotated[list[AxisNumber], Field(min_length=1, max_length=8)]
Axes = AxisNumber | AxisList


class InitializerBase(KerasObject):
    namespace: ClassVar[str] = "keras.initializers"


class Zeros(InitializerBase):
    """All weights start at 0. Use it for biases; a kernel of zeros keeps all neurons alike, so that they learn the same."""

    type: Literal["Zeros"] = "Zeros"
    aliases: ClassVar[tuple[str, ...]] = ("zero",)


class Ones(InitializerBase):
    """All weights start at 1. Use it for factors, such as the `gamma` of a normalization."""

    type: Literal["Ones"] = "Ones"
    aliases: ClassVar[tuple[str, ...]] = ("one",)


class Constant(InitializerBase):
    """All weights start at one value. Use it for a bias that you know about, such as the mean of the target."""

    type: Literal["Constant"] = "Constant"
    value: Number = 0.0
    """The value that every weight starts at."""


class IdentityInitializer(InitializerBase):
    """A square of weights starts as the identity: every output begins as a copy of its input. Use it for recurrent weights with
    `relu`."""

    type: Literal["Identity"] = "Identity"
    aliases: ClassVar[tuple[str, ...]] = ("IdentityInitializer",)
    gain: Number = 1.0
    """Factor by which the identity is multiplied."""


class STFT(InitializerBase):
    """Weights of a convolution start as the waves of a Fourier transform. Use it for a Conv1D that reads raw sound."""

    type: Literal["STFT"] = "STFT"
    aliases: ClassVar[tuple[str, ...]] = ("STFTInitializer",)
    side: Literal["real", "imag"] = "real"
    """Which part of the transform: the real or the imaginary one."""
    window: Literal["hann", "hamming"] | None = "hann"
    """How each frame fades in and out; not at all if null."""
    scaling: Literal["density", "spectrum"] | None = "density"
    """What the waves are scaled by; nothing if null."""
    periodic: bool = False
    """Whether the window repeats itself without a seam."""


class SeededInitializer(InitializerBase):
    seed: Seed | None = None
    """Fixes the random numbers of this initializer alone; left out, they follow the seed of the run."""


class ScaledInitializer(SeededInitializer):
    input_axes: AxisList | None = None
    """Axes of the weights that count as inputs; the layer says so if left out."""
    output_axes: AxisList | None = None
    """Axes of the weights that count as outputs; the layer says so if left out."""


class GlorotUniform(ScaledInitializer):
    """Uniform random weights scaled by the sizes of both sides; Keras's default, good with `tanh`, `sigmoid`, `softmax` and
    none."""

    type: Literal["GlorotUniform"] = "GlorotUniform"


class GlorotNormal(ScaledInitializer):
    """Normal random weights scaled by the sizes of both sides. Use it as GlorotUniform: the two hardly differ."""

    type: Literal["GlorotNormal"] = "GlorotNormal"


class HeUniform(ScaledInitializer):
    """Uniform random weights scaled by the number of inputs. Use it for deep networks with `relu`."""

    type: Literal["HeUniform"] = "HeUniform"


class HeNormal(ScaledInitializer):
    """Normal random weights scaled by the number of inputs. Use it for deep networks with `relu`, such as convolutions of
    images."""

    type: Literal["HeNormal"] = "HeNormal"


class LecunUniform(ScaledInitializer):
    """Uniform random weights scaled by the number of inputs, a little smaller than He's. Use it with `tanh` or `selu`."""

    type: Literal["LecunUniform"] = "LecunUniform"


class LecunNormal(ScaledInitializer):
    """Normal random weights scaled by the number of inputs, a little smaller than He's. Use it with `selu`, which needs it."""

    type: Literal["LecunNormal"] = "LecunNormal"


class VarianceScaling(ScaledInitializer):
    """Random weights scaled by the sizes of the layer, as you choose. Use it where none of Glorot, He and Lecun, which are cases
    of it, fits."""

    type: Literal["VarianceScaling"] = "VarianceScaling"
    scale: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Factor of the variance."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """What the variance is divided by: the number of inputs, of outputs, or the mean of both."""
    distribution: Literal["normal", "truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    """How the random numbers lie."""


class RandomNormal(SeededInitializer):
    """Normal random weights of a given spread. Use it where a paper names the spread, whatever the sizes of the layer."""

    type: Literal["RandomNormal"] = "RandomNormal"
    aliases: ClassVar[tuple[str, ...]] = ("normal",)
    mean: Number = 0.0
    """Centre of the random weights."""
    stddev: Spread = 0.05
    """Standard deviation of the random weights."""


class TruncatedNormal(SeededInitializer):
    """Normal random weights of a given spread, none further out than two deviations. Use it where a paper names the spread, as
    for transformers."""

    type: Literal["TruncatedNormal"] = "TruncatedNormal"
    mean: Number = 0.0
    """Centre of the random weights."""
    stddev: Spread = 0.05
    """Standard deviation of the random weights."""


class RandomUniform(SeededInitializer):
    """Random weights spread evenly between two bounds. Use it where a paper names the bounds, and for Embeddings."""

    type: Literal["RandomUniform"] = "RandomUniform"
    aliases: ClassVar[tuple[str, ...]] = ("uniform",)
    minval: Number = -0.05
    """Lower bound of the random weights."""
    maxval: Number = 0.05
    """Upper bound of the random weights."""


class Orthogonal(SeededInitializer):
    """A random orthogonal matrix, which keeps lengths as they are. Use it for recurrent weights, and for very deep stacks."""

    type: Literal["Orthogonal"] = "Orthogonal"
    aliases: ClassVar[tuple[str, ...]] = ("OrthogonalInitializer",)
    gain: Number = 1.0
    """Factor by which the matrix is scaled."""


INITIALIZERS = Family("Initializer", InitializerBase, "How weights start.")
Initializer = Annotated[InitializerBase, INITIALIZERS]
