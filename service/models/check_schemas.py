"""What goes over the wire when a definition is checked."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from service.models.schemas import FUNCTIONAL_MODEL, TUTORIAL_MODEL, agree_on_outputs
from service.spec.base import ResourceName, Spec
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec, TargetSpec
from service.spec.fit import FitSpec
from service.web.routing import ProblemEntry

TUTORIAL_CHECK: dict[str, Any] = {
    "name": TUTORIAL_MODEL["name"],
    "definition": {**TUTORIAL_MODEL["definition"], "input_shape": [64]},
    "compile": TUTORIAL_MODEL["compile"],
    "batch_size": 32,
}
FUNCTIONAL_CHECK: dict[str, Any] = {
    "name": FUNCTIONAL_MODEL["name"],
    "definition": {
        **FUNCTIONAL_MODEL["definition"],
        "inputs": [{"name": "facts", "shape": [6]}, {"name": "words", "shape": [11]}],
    },
    "compile": FUNCTIONAL_MODEL["compile"],
}
MISTAKEN_CHECK: dict[str, Any] = {
    "definition": {
        "layers": [
            {"type": "Conv2D", "filters": 8, "kernel_size": 5, "activation": "relu"},
            {"type": "Flatten"},
            {"type": "Dense", "units": 1, "activation": "softmax"},
        ],
        "input_shape": [4, 4, 1],
    }
}


class ModelCheck(Spec):
    """A model to look at; nothing of it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [TUTORIAL_CHECK, FUNCTIONAL_CHECK]})

    name: ResourceName | None = None
    """The model's name, for the script."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    """What the model is for; it is not looked at."""
    definition: Definition
    """The layers."""
    compile: CompileSpec | None = None
    """Optimizer, loss and metrics; left out, they are not looked at."""
    dataset: Annotated[str, Field(max_length=80)] | None = None
    """Id of a dataset that gives the input shape, and is looked at together with the model."""
    target: TargetSpec | None = None
    """Column or array that the model shall predict, several columns side by side, or either for each output by its name; the
    dataset's own if left out."""
    features: FeaturesSpec = FeaturesSpec()
    """As in a run: how columns become the model's input."""
    fit: FitSpec | None = None
    """As in a run: how its rows are shuffled and split is looked at together with the dataset."""
    batch_size: Annotated[int, Field(ge=1, le=10_000_000)] = 32
    """Rows of a batch, for the memory that the outputs of the layers take."""

    _agrees = model_validator(mode="after")(agree_on_outputs)


class LayerSummary(Spec):
    """One layer of the model."""

    name: str
    """Its name; Keras's own where you gave none."""
    type: str
    """The Keras class."""
    output_shape: list[int | None] | None
    """Shape of what comes out, the batch axis first; `null` in it is a free length, `null` alone: not known without the data."""
    parameters: int | None
    """Number of weights and biases; `null`: not known without the data."""
    parameters_in_words: str
    """How that number comes about; `?` stands for what only the data tells."""


class MemoryEstimate(Spec):
    """Bytes that a fit needs beside Keras itself and the data."""

    parameters: int
    """The weights, as float32."""
    gradients: int
    """One number for every trained weight."""
    optimizer: int
    """What the optimizer remembers of every trained weight."""
    activations: int
    """The outputs of all layers for one batch, which are kept for the way back."""
    batch_size: int
    """The number of rows that this is for."""
    total: int
    """All of it."""


class ModelCheckRead(Spec):
    """What is to be said of a model before it is created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ok": True,
                    "built": True,
                    "summary": [
                        {
                            "name": "layer1",
                            "type": "Dense",
                            "output_shape": [None, 25],
                            "parameters": 1625,
                            "parameters_in_words": "25 neurons × 64 inputs + 25 biases",
                        },
                        {
                            "name": "layer2",
                            "type": "Dense",
                            "output_shape": [None, 15],
                            "parameters": 390,
                            "parameters_in_words": "15 neurons × 25 inputs + 15 biases",
                        },
                        {
                            "name": "layer3",
                            "type": "Dense",
                            "output_shape": [None, 1],
                            "parameters": 16,
                            "parameters_in_words": "1 neuron × 15 inputs + 1 bias",
                        },
                    ],
                    "parameters": 2031,
                    "memory_bytes": {
                        "parameters": 8124,
                        "gradients": 8124,
                        "optimizer": 0,
                        "activations": 13440,
                        "batch_size": 32,
                        "total": 29688,
                    },
                    "errors": [],
                    "warnings": [],
                    "code": '"""The model \'my_model\' as a plain Keras script."""\n\nimport keras\n…',
                }
            ]
        }
    )

    ok: bool
    """Whether nothing was found that keeps the model from being built."""
    built: bool
    """Whether Keras has built it on trial; `warnings` say why not."""
    summary: list[LayerSummary]
    """The layers, up to the first one that cannot be built."""
    parameters: int | None
    """Number of weights and biases; `null`: not known without the data."""
    memory_bytes: MemoryEstimate | None
    """What a fit needs; `null`: not known without the data."""
    errors: list[ProblemEntry]
    """What has to be mended."""
    warnings: list[ProblemEntry]
    """What would work, but is most likely not meant."""
    code: str | None
    """The same model as a Keras script; `null` where the definition cannot be read."""
