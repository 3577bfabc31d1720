"""Layers that prepare numbers and sound. Source: https://keras.io/api/layers/preprocessing_layers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.spec.layers.fields import ChannelsLayer, FixedLayer, LayerBase, NotNegative, Number, Padding, Positive

Samples = Annotated[int, Field(ge=1, le=8192)]
Boundaries = Annotated[list[Number], Field(min_length=1, max_length=10_000)]


class Rescaling(LayerBase):
    """Multiplies by a number and adds another. Use it first for images, to bring pixels from 0…255 to 0…1."""

    type: Literal["Rescaling"] = "Rescaling"
    scale: Number | Annotated[list[Number], Field(min_length=1, max_length=10_000)]
    """What to multiply by, e.g. 0.00392156862745098 for 1/255; a list has one for each channel."""
    offset: Number | Annotated[list[Number], Field(min_length=1, max_length=10_000)] = 0.0
    """What to add."""


class Discretization(FixedLayer):
    """Replaces each number by the number of the bin that it falls into. Use it for ages and the like, before an Embedding or
    CategoryEncoding."""

    type: Literal["Discretization"] = "Discretization"
    bin_boundaries: Boundaries
    """Where one bin ends and the next begins, rising."""
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"
    """`int` answers the bin's number; the others a row with one place for each bin."""
    sparse: Literal[False] = False
    """Always false: rows are written out in full."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if any(a >= b for a, b in zip(self.bin_boundaries, self.bin_boundaries[1:], strict=False)):
            raise PydanticCustomError("rising_boundaries", "'bin_boundaries' must rise.")
        return self


class CategoryEncoding(LayerBase):
    """Turns numbers of categories into rows of 0 and 1, with one place for each category. Use it for arrays of category numbers
    with few values."""

    type: Literal["CategoryEncoding"] = "CategoryEncoding"
    num_tokens: Annotated[int, Field(ge=1, le=100_000)]
    """Number of categories; inputs go from 0 to one less."""
    output_mode: Literal["one_hot", "multi_hot", "count"] = "multi_hot"
    """`one_hot` for one category per value, `multi_hot` for those of an example together, `count` for how often each comes."""
    sparse: Literal[False] = False
    """Always false: rows are written out in full."""


class MelSpectrogram(LayerBase):
    """Turns sound into a picture of pitch over time, with the pitches that people tell apart. Use it for speech and music, before
    a Conv2D."""

    type: Literal["MelSpectrogram"] = "MelSpectrogram"
    fft_length: Samples = 2048
    """Samples that each column of the picture is made from."""
    sequence_stride: Samples = 512
    """Samples between two columns."""
    sequence_length: Samples | None = None
    """Samples that the window covers; all of `fft_length` if left out."""
    window: Literal["hann", "hamming"] | None = "hann"
    """How each piece fades in and out; not at all if null."""
    sampling_rate: Annotated[int, Field(ge=1, le=10_000_000)] = 16_000
    """Samples per second."""
    num_mel_bins: Annotated[int, Field(ge=1, le=1024)] = 128
    """Number of pitches."""
    min_freq: NotNegative = 20.0
    """Lowest pitch in hertz."""
    max_freq: Positive | None = None
    """Highest pitch in hertz; half of `sampling_rate` if left out."""
    power_to_db: bool = True
    """Whether loudness is in decibels."""
    top_db: Positive = 80.0
    """Decibels below the loudest place that count as silence."""
    mag_exp: Positive = 2.0
    """Power of the magnitude: 1 for magnitude, 2 for power."""
    min_power: Positive = 1e-10
    """Smallest power that is told apart from silence."""
    ref_power: Positive = 1.0
    """Power that counts as 0 decibels."""


class STFTSpectrogram(ChannelsLayer):
    """Turns sound into a picture of frequency over time (short-time Fourier transform). Use it for vibrations and sounds, before
    a Conv2D."""

    type: Literal["STFTSpectrogram"] = "STFTSpectrogram"
    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"] = "log"
    """What of each frequency to show; `stft` shows the real and the imaginary part."""
    frame_length: Annotated[int, Field(ge=2, le=8192)] = 256
    """Samples that each step of the picture is made from."""
    frame_step: Samples | None = None
    """Samples between two steps; half of `frame_length` if left out."""
    fft_length: Samples | None = None
    """Samples of the transform: at least `frame_length`, best a power of two; the next one if left out."""
    window: Literal["hann", "hamming"] | None = "hann"
    """How each piece fades in and out; not at all if null."""
    periodic: bool = False
    """Whether the window repeats itself without a seam."""
    scaling: Literal["density", "spectrum"] | None = "density"
    """What the transform is scaled by; nothing if null."""
    padding: Padding = "valid"
    """`valid` keeps inside the sound, `same` pads it."""
    expand_dims: bool = False
    """Whether frequencies and channels are axes of their own, as layers for images want it."""
