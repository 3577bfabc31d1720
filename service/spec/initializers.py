"""Initializers and regularizers as data. Source: https://keras.io/api/layers/initializers, .../regularizers."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from service.spec.base import KerasObject, accept_spellings

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class InitializerBase(KerasObject):
    namespace: ClassVar[str] = "keras.initializers"


class Zeros(InitializerBase):
    """All weights start at 0."""

    type: Literal["Zeros"] = "Zeros"


class Ones(InitializerBase):
    """All weights start at 1."""

    type: Literal["Ones"] = "Ones"


class Constant(InitializerBase):
    """All weights start at one value."""

    type: Literal["Constant"] = "Constant"
    value: float = 0.0
    """The value that every weight starts at."""


class SeededInitializer(InitializerBase):
    seed: Seed | None = None
    """Fixes the random numbers of this initializer alone; left out, they follow the seed of the run."""


class GlorotUniform(SeededInitializer):
    """Uniform random weights scaled by the sizes of both sides (Keras's default for most layers)."""

    type: Literal["GlorotUniform"] = "GlorotUniform"


class GlorotNormal(SeededInitializer):
    """Normal random weights scaled by the sizes of both sides."""

    type: Literal["GlorotNormal"] = "GlorotNormal"


class HeUniform(SeededInitializer):
    """Uniform random weights scaled for ReLU activations."""

    type: Literal["HeUniform"] = "HeUniform"


class HeNormal(SeededInitializer):
    """Normal random weights scaled for ReLU activations."""

    type: Literal["HeNormal"] = "HeNormal"


class LecunUniform(SeededInitializer):
    """Uniform random weights scaled by the number of inputs."""

    type: Literal["LecunUniform"] = "LecunUniform"


class LecunNormal(SeededInitializer):
    """Normal random weights scaled by the number of inputs, as SELU needs."""

    type: Literal["LecunNormal"] = "LecunNormal"


class RandomNormal(SeededInitializer):
    """Normal random weights with a given spread."""

    type: Literal["RandomNormal"] = "RandomNormal"
    mean: float = 0.0
    """Centre of the random weights."""
    stddev: Annotated[float, Field(ge=0)] = 0.05
    """Standard deviation of the random weights."""


class RandomUniform(SeededInitializer):
    """Random weights spread evenly between two bounds."""

    type: Literal["RandomUniform"] = "RandomUniform"
    minval: float = -0.05
    """Lower bound of the random weights."""
    maxval: float = 0.05
    """Upper bound of the random weights."""


class Orthogonal(SeededInitializer):
    """A random orthogonal matrix, usual for recurrent weights."""

    type: Literal["Orthogonal"] = "Orthogonal"
    gain: float = 1.0
    """Factor by which the matrix is scaled."""


INITIALIZERS = (
    Zeros, Ones, Constant, GlorotUniform, GlorotNormal, HeUniform, HeNormal,
    LecunUniform, LecunNormal, RandomNormal, RandomUniform, Orthogonal,
)  # fmt: skip
AnyInitializer = Annotated[
    Zeros | Ones | Constant | GlorotUniform | GlorotNormal | HeUniform | HeNormal
    | LecunUniform | LecunNormal | RandomNormal | RandomUniform | Orthogonal,
    Field(discriminator="type"),
]  # fmt: skip
Initializer = Annotated[
    AnyInitializer,
    BeforeValidator(accept_spellings("initializer", *INITIALIZERS), json_schema_input_type=str | AnyInitializer),
]

Penalty = Annotated[float, Field(ge=0, le=1e6)]


class RegularizerBase(KerasObject):
    namespace: ClassVar[str] = "keras.regularizers"


class L1(RegularizerBase):
    """Adds the sum of the absolute weights to the loss, which drives weights to 0."""

    type: Literal["L1"] = "L1"
    l1: Penalty = 0.01
    """Factor of the penalty."""


class L2(RegularizerBase):
    """Adds the sum of the squared weights to the loss, which keeps weights small."""

    type: Literal["L2"] = "L2"
    l2: Penalty = 0.01
    """Factor of the penalty."""


class L1L2(RegularizerBase):
    """Adds both penalties to the loss."""

    type: Literal["L1L2"] = "L1L2"
    aliases: ClassVar[tuple[str, ...]] = ("l1_l2",)
    l1: Penalty = 0.0
    """Factor of the absolute penalty."""
    l2: Penalty = 0.0
    """Factor of the squared penalty."""


REGULARIZERS = (L1, L2, L1L2)
AnyRegularizer = Annotated[L1 | L2 | L1L2, Field(discriminator="type")]
Regularizer = Annotated[
    AnyRegularizer,
    BeforeValidator(accept_spellings("regularizer", *REGULARIZERS), json_schema_input_type=str | AnyRegularizer),
]
