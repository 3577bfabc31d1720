"""What goes over the wire for the weights of a run."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, WithJsonSchema

from service.spec.base import Spec

NESTED_LISTS = {"anyOf": [{"type": "array", "items": {}}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}


class WeightRead(Spec):
    """Numbers of a layer that the fit has found, or that it has kept."""

    name: str
    """Keras's name, e.g. `kernel`; `lstm_cell/kernel` where a part of the layer owns it."""
    symbol: Literal["W", "b"] | None
    """`W` for the weights that inputs are multiplied by, `b` for the biases that are added, `null` for others."""
    shape: list[int]
    """Length along each axis; the kernel of a Dense layer has a row per input and a column per neuron."""
    dtype: str
    """Type of the numbers, e.g. `float32`."""
    count: int
    """How many numbers there are."""
    min: float | None
    """The smallest; `null`, as the other statistics are, where there are none or one is not finite."""
    max: float | None
    """The largest."""
    mean: float | None
    """Their mean."""
    std: float | None
    """Their standard deviation."""
    values: Annotated[Any, WithJsonSchema(NESTED_LISTS)]
    """All of them, exactly, in lists nested as `shape` says, with `null` for NaN and infinity; `null` if truncated."""
    is_truncated: bool
    """Whether the numbers are left out because there are too many; the artifact `weights.npz` has them."""


class LayerRead(Spec):
    """A layer and what it has learnt."""

    name: str
    """Name of the layer."""
    type: str
    """Name of the Keras class."""
    weights: list[WeightRead]
    """Its weights in Keras's order; none where there is nothing to learn, as in Dropout."""


class RunWeights(Spec):
    """What a run has learnt: the weights W and biases b of every layer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run": "run_01a20b40052676958af2ee9e1501afa3",
                    "layers": [
                        {
                            "name": "layer3",
                            "type": "Dense",
                            "weights": [
                                {
                                    "name": "kernel",
                                    "symbol": "W",
                                    "shape": [3, 1],
                                    "dtype": "float32",
                                    "count": 3,
                                    "min": -0.75,
                                    "max": 1.25,
                                    "mean": 0.25,
                                    "std": 0.816496580927726,
                                    "values": [[0.25], [1.25], [-0.75]],
                                    "is_truncated": False,
                                },
                                {
                                    "name": "bias",
                                    "symbol": "b",
                                    "shape": [1],
                                    "dtype": "float32",
                                    "count": 1,
                                    "min": 0.5,
                                    "max": 0.5,
                                    "mean": 0.5,
                                    "std": 0.0,
                                    "values": [0.5],
                                    "is_truncated": False,
                                },
                            ],
                        }
                    ],
                }
            ]
        }
    )

    run: str
    """Id of the run."""
    layers: list[LayerRead]
    """The layers in the model's order."""
