"""What an API and its checker say to each other over the pipe: frames as in ``frames.py``."""

from typing import Any

import msgspec

from service.spec.frames import Frame


class CheckJob(Frame, frozen=True, kw_only=True, tag="check"):
    """Build a model without weights."""

    definition: dict[str, Any]
    """A ``spec.definition.Definition`` document."""
    compile: dict[str, Any] | None
    """A ``spec.compile.CompileSpec`` document."""
    input_shapes: list[list[int | None]] | None
    """Shape of one row of each input; None only tries whether Keras takes the arguments of every layer."""


class CheckerReady(Frame, frozen=True, kw_only=True, tag="checker_ready"):
    """Keras is loaded, and the limits hold."""


class BuiltWeight(msgspec.Struct, frozen=True, kw_only=True):
    """One array of weights that a layer would have."""

    name: str
    shape: list[int]
    is_trained: bool
    """Whether ``fit`` would change it."""


class BuiltLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer as Keras has built it."""

    place: int
    """Place of the layer in the definition."""
    name: str
    type: str
    output_shape: list[int | None]
    """Of its first call, without the batch axis."""
    numbers: int
    """Numbers that a row makes in all its calls."""
    weights: list[BuiltWeight]


class BuildProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why Keras refuses a part of the model."""

    pointer: str
    """JSON pointer into the client's document."""
    message: str
    fix: str


class Checked(Frame, frozen=True, kw_only=True, tag="checked"):
    """What Keras made of the model; ``layers`` is None where it did not get to the end, or had no shape to begin with."""

    layers: list[BuiltLayer] | None
    problems: list[BuildProblem]


check_job_decoder: msgspec.json.Decoder[CheckJob] = msgspec.json.Decoder(CheckJob)
check_report_decoder: msgspec.json.Decoder[CheckerReady | Checked] = msgspec.json.Decoder(CheckerReady | Checked)

OUT_OF_MEMORY = 12
"""Exit code of a checker that was refused memory (ENOMEM)."""
