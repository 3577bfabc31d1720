"""What goes over the wire for models, versions and aliases."""

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.spec.base import ResourceName, Spec
from service.spec.compile import CompileSpec
from service.spec.definition import Definition

TUTORIAL_MODEL: dict[str, Any] = {
    "name": "my_model",
    "description": "Tells two kinds of iris apart.",
    "definition": {
        "layers": [
            {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
            {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
            {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
        ]
    },
    "compile": {
        "optimizer": {"type": "SGD", "learning_rate": 0.5},
        "loss": "BinaryCrossentropy",
        "metrics": ["accuracy"],
    },
}

FUNCTIONAL_MODEL: dict[str, Any] = {
    "name": "flats",
    "description": "Tells the price of a flat from facts and words, and whether it is dear.",
    "definition": {
        "inputs": [{"name": "facts"}, {"name": "words"}],
        "layers": [
            {"type": "Dense", "units": 16, "activation": "relu", "name": "of_facts", "inbound": ["facts"]},
            {"type": "Dense", "units": 4, "activation": "relu", "name": "of_words", "inbound": ["words"]},
            {"type": "Concatenate", "name": "both", "inbound": ["of_facts", "of_words"]},
            {"type": "Dense", "units": 1, "name": "price", "inbound": ["both"]},
            {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "dear", "inbound": ["both"]},
        ],
        "outputs": ["price", "dear"],
    },
    "compile": {
        "optimizer": {"type": "Adam", "learning_rate": 0.02},
        "loss": {"price": "mse", "dear": "binary_crossentropy"},
        "loss_weights": {"dear": 10.0},
        "metrics": {"price": ["mae"], "dear": ["accuracy"]},
    },
}


class HasModel(Protocol):
    """A request that holds a model."""

    @property
    def definition(self) -> Definition:
        """The layers."""

    @property
    def compile(self) -> CompileSpec | None:
        """Optimizer, loss and metrics."""


Request = TypeVar("Request", bound=HasModel)


def agree_on_outputs(request: Request) -> Request:
    """The request itself. Raises ValidationError where losses, metrics or their weights are of other outputs than the model's."""
    problems = request.compile.output_problems(request.definition.output_names) if request.compile is not None else []
    if problems:
        mistakes = [
            InitErrorDetails(
                type=PydanticCustomError("outputs", "{message} {fix}", {"message": problem.message, "fix": problem.fix}),
                loc=tuple(problem.pointer.split("/")[1:]),
                input=problem.received,
            )
            for problem in problems
        ]
        raise ValidationError.from_exception_data("Compile", mistakes)
    return request


class ModelCreate(Spec):
    """A new model."""

    model_config = ConfigDict(json_schema_extra={"examples": [TUTORIAL_MODEL, FUNCTIONAL_MODEL]})

    name: ResourceName
    """The model's name: it stands in every address of the model."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    """What the model is for."""
    definition: Definition
    """The layers."""
    compile: CompileSpec
    """Optimizer, loss and metrics."""

    _agrees = model_validator(mode="after")(agree_on_outputs)


class ModelReplace(Spec):
    """A new revision of a model."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{key: value for key, value in TUTORIAL_MODEL.items() if key != "name"}]}
    )

    name: ResourceName | None = None
    """The model's name again; it may be left out, but cannot be changed."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    """What the model is for."""
    definition: Definition
    """The layers."""
    compile: CompileSpec
    """Optimizer, loss and metrics."""

    _agrees = model_validator(mode="after")(agree_on_outputs)


class ModelRead(Spec):
    """A named definition."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **TUTORIAL_MODEL,
                    "revision": 1,
                    "latest_version": 1,
                    "aliases": {"production": 1},
                    "created_at": "2026-11-24T02:02:40.558451Z",
                    "updated_at": "2026-11-24T02:02:40.558458Z",
                }
            ]
        }
    )

    name: str
    """Name of the model."""
    description: str | None
    """What the model is for."""
    revision: int
    """Number of the definition shown here; it grows with every change."""
    definition: dict[str, Any]
    """The layers."""
    compile: dict[str, Any]
    """Optimizer, loss and metrics."""
    latest_version: int | None
    """Number of the newest published version; `null` before the first successful run."""
    aliases: dict[str, int]
    """Version numbers by alias."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When the definition last changed."""


class ModelPage(Spec):
    """One page of models."""

    items: list[ModelRead]
    """The models of this page."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""


class ParityRead(Spec):
    """How far the served engine is from Keras on real rows."""

    max_abs_difference: float | None
    """Largest difference of any output."""
    rows: int
    """Number of rows compared."""
    agrees: bool
    """Whether the difference is small enough to serve this engine."""
    reason: str | None = None
    """Why the engine cannot be used."""


class TensorRead(Spec):
    """One input or output of the served engine."""

    name: str
    """Name of the tensor."""
    dtype: str
    """Its numpy type."""
    shape: list[int | None]
    """Its shape; `null` is the number of rows, or another free length."""


class FileRead(Spec):
    """A downloadable file."""

    name: str
    """Name of the file."""
    size_bytes: int
    """Its size in bytes."""
    sha256: str
    """SHA-256 of its content."""
    media_type: str
    """Its media type."""


class VersionRead(Spec):
    """A published result of a run, which answers predictions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "my_model",
                    "version": 1,
                    "aliases": ["production"],
                    "run": "run_01a20b40052676958af2ee9e1501afa3",
                    "revision": 1,
                    "engine": "onnx",
                    "parity": {"max_abs_difference": 7.5e-08, "rows": 6, "agrees": True, "reason": None},
                    "metrics": {"accuracy": 1.0, "loss": 0.127, "val_accuracy": 1.0, "val_loss": 0.08},
                    "parameters": 531,
                    "features": {"inputs": [{"kind": "table", "name": "input", "columns": []}], "targets": []},
                    "inputs": [{"name": "input", "dtype": "float32", "shape": [None, 4]}],
                    "outputs": [{"name": "output", "dtype": "float32", "shape": [None, 1]}],
                    "example": {"rows": [[5.1, 3.5, 1.4, 0.2]]},
                    "files": [
                        {
                            "name": "model.onnx",
                            "size_bytes": 3791,
                            "sha256": "c9bdca47c08b9351655d7f4e6c73c65c02fb2329ec0882f73fd7de4cf7873089",
                            "media_type": "application/onnx",
                        }
                    ],
                    "created_at": "2026-11-24T02:02:48.943170Z",
                }
            ]
        }
    )

    model: str
    """Name of the model."""
    version: int
    """Number of the version: 1, 2, 3 …"""
    aliases: list[str]
    """Aliases that point here."""
    run: str
    """Id of the run that made it."""
    revision: int
    """Revision of the model that was fitted."""
    engine: Literal["onnx", "keras"]
    """What answers predictions: `onnx` where it agrees with Keras, otherwise `keras`."""
    parity: ParityRead
    """The comparison of the engine with Keras."""
    metrics: dict[str, float]
    """Metrics of the run's last epoch."""
    parameters: int
    """Number of weights and biases."""
    features: dict[str, Any]
    """How raw rows become the model's input, and its output an answer."""
    inputs: list[TensorRead]
    """What the engine takes."""
    outputs: list[TensorRead]
    """What the engine gives."""
    example: dict[str, Any]
    """A body for `POST …:predict` that works."""
    files: list[FileRead]
    """The files of the version; the run's artifacts have them too."""
    created_at: datetime
    """When it was published."""


class VersionPage(Spec):
    """One page of versions."""

    items: list[VersionRead]
    """The versions of this page, newest first."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""


class AliasWrite(Spec):
    """Where an alias shall point."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: Annotated[int, Field(ge=1, lt=2**31)]
    """Number of a version of this model."""


class AliasRead(Spec):
    """A movable name for a version."""

    model: str
    """Name of the model."""
    alias: str
    """The alias."""
    version: int
    """Number of the version that it points to."""
    updated_at: datetime
    """When it was last moved."""
