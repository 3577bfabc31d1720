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
    """All weights start at 0."""

    type: Literal["Zeros"] = "Zeros"
    aliases: ClassVar[tuple[str, ...]] = ("zero",)


class Ones(InitializerBase):
    """All weights start at 1."""

    type: Literal["Ones"] = "Ones"
    aliases: ClassVar[tuple[str, ...]] = ("one",)


class Constant(InitializerBase):
    """All weights start at one value."""

    type: Literal["Constant"] = "Constant"
    value: Number = 0.0
    """The value that every weight starts at."""


class IdentityInitializer(InitializerBase):
    """A square of weights starts as the identity: every output begins as a copy of its input."""

    type: Literal["Identity"] = "Identity"
    aliases: ClassVar[tuple[str, ...]] = ("IdentityInitializer",)
    gain: Number = 1.0
    """Factor by which the identity is multiplied."""


class STFT(InitializerBase):
    """Weights of a convolution that start as the waves of a Fourier transform, for sound."""

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
    """Uniform random weights scaled by the sizes of both sides (Keras's default for most layers)."""

    type: Literal["GlorotUniform"] = "GlorotUniform"


class GlorotNormal(ScaledInitializer):
    """Normal random weights scaled by the sizes of both sides."""

    type: Literal["GlorotNormal"] = "GlorotNormal"


class HeUniform(ScaledInitializer):
    """Uniform random weights scaled for ReLU activations."""

    type: Literal["HeUniform"] = "HeUniform"


class HeNormal(ScaledInitializer):
    """Normal random weights scaled for ReLU activations."""

    type: Literal["HeNormal"] = "HeNormal"


class LecunUniform(ScaledInitializer):
    """Uniform random weights scaled by the number of inputs."""

    type: Literal["LecunUniform"] = "LecunUniform"


class LecunNormal(ScaledInitializer):
    """Normal random weights scaled by the number of inputs, as SELU needs."""

    type: Literal["LecunNormal"] = "LecunNormal"


class VarianceScaling(ScaledInitializer):
    """Random weights scaled by the sizes of the layer, as you choose; the Glorot, He and Lecun ones are cases of it."""

    type: Literal["VarianceScaling"] = "VarianceScaling"
    scale: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Factor of the variance."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """What the variance is divided by: the number of inputs, of outputs, or the mean of both."""
    distribution: Literal["normal", "truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    """How the random numbers lie."""


class RandomNormal(SeededInitializer):
    """Normal random weights with a given spread."""

    type: Literal["RandomNormal"] = "RandomNormal"
    aliases: ClassVar[tuple[str, ...]] = ("normal",)
    mean: Number = 0.0
    """Centre of the random weights."""
    stddev: Spread = 0.05
    """Standard deviation of the random weights."""


class TruncatedNormal(SeededInitializer):
    """Normal random weights with a given spread, none of them further out than two standard deviations."""

    type: Literal["TruncatedNormal"] = "TruncatedNormal"
    mean: Number = 0.0
    """Centre of the random weights."""
    stddev: Spread = 0.05
    """Standard deviation of the random weights."""


class RandomUniform(SeededInitializer):
    """Random weights spread evenly between two bounds."""

    type: Literal["RandomUniform"] = "RandomUniform"
    aliases: ClassVar[tuple[str, ...]] = ("uniform",)
    minval: Number = -0.05
    """Lower bound of the random weights."""
    maxval: Number = 0.05
    """Upper bound of the random weights."""


class Orthogonal(SeededInitializer):
    """A random orthogonal matrix, usual for recurrent weights."""

    type: Literal["Orthogonal"] = "Orthogonal"
    aliases: ClassVar[tuple[str, ...]] = ("OrthogonalInitializer",)
    gain: Number = 1.0
    """Factor by which the matrix is scaled."""


INITIALIZERS = Family("Initializer", InitializerBase, "How weights start.")
Initializer = Annotated[InitializerBase, INITIALIZERS]
