"""What the numbers of an output are like: the function that a model ends with, and the bounds of its answers. Knows no Keras."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.graph import Graph, in_a_row
from service.spec.layers import ActivationLayer, LayerBase, LeakyReLU, ReLU, Softmax
from service.spec.layers.activations import ELU, PReLU
from service.spec.layers.fields import BiasedLayer, Path
from service.spec.layers.merging import Dot, MergingLayer
from service.spec.layers.models import NestedModel
from service.spec.layers.preprocessing import Rescaling
from service.spec.layers.recurrent import RNN, GatedRecurrence, Recurrence, SequenceLayer, StackedRNNCells
from service.spec.layers.wrappers import Bidirectional, Pipeline, SpectralNormalization, TimeDistributed

Range = tuple[float, float]

ANY: Range = (-inf, inf)
RANGES: dict[str, Range] = {
    **dict.fromkeys(YES_OR_NO + ONE_OF_SEVERAL, (0.0, 1.0)),
    "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0), "relu": (0.0, inf), "relu6": (0.0, 6.0),
    "softplus": (0.0, inf), "sparse_plus": (0.0, inf), "squareplus": (0.0, inf), "exponential": (0.0, inf),
    "log_sigmoid": (-inf, 0.0), "log_softmax": (-inf, 0.0), "elu": (-1.0, inf), "celu": (-1.0, inf), "selu": (-1.7581, inf),
    "gelu": (-0.1701, inf), "silu": (-0.2785, inf), "swish": (-0.2785, inf), "mish": (-0.3089, inf),
    "hard_silu": (-0.375, inf), "hard_swish": (-0.375, inf), "cosine": (-1.0, 1.0), "unit length": (-1.0, 1.0),
}  # fmt: skip
"""What the outputs of a function lie between; functions that are not named have no such bounds."""
RESHAPING = (
    "Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Cropping1D", "Cropping2D", "Cropping3D",
    "UpSampling1D", "UpSampling3D",
)  # fmt: skip
"""Layers that change no number, in training neither."""
PASSING_ON = (
    *RESHAPING, "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "ActivityRegularization",
)  # fmt: skip
"""Layers that change no number, in use at least."""
AVERAGING = tuple(f"{kind}AveragePooling{axes}D" for kind in ("", "Global", "Adaptive") for axes in (1, 2, 3))
"""Layers that answer means of numbers, which lie between the same bounds; shares that add up to 1 still do."""
CHOOSING = tuple(f"{kind}MaxPooling{axes}D" for kind in ("", "Global", "Adaptive") for axes in (1, 2, 3))
"""Layers that answer some of the numbers."""
LINEAR = (
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "Embedding", "MultiHeadAttention",
    "GroupQueryAttention",
)  # fmt: skip
"""Layers without an activation that answer any number."""


@dataclass(frozen=True)
class Ending:
    """What is known of some numbers in a model."""

    path: Path
    """Where the layer that decides about them stands in the definition, e.g. ``("layers", 2)``."""
    layer: LayerBase
    function: str
    """The function that it ends with, in words where it is none by name."""
    low: float
    high: float

    @property
    def pointer(self) -> str:
        """Where the layer stands in the client's document."""
        return pointer_to(self.path)

    @property
    def are_probabilities(self) -> bool:
        """Whether all of them lie between 0 and 1."""
        return self.low >= 0 and self.high <= 1

    @property
    def have_one_sign(self) -> bool:
        """Whether none is negative, or none positive."""
        return self.low >= 0 or self.high <= 0


Known = Ending | None
"""What is known of numbers; None where it is not clear what they are like."""


def pointer_to(path: Path) -> str:
    """Where a layer stands in the client's document."""
    return "/".join(["/definition", *map(str, path)])


def endings_of(graph: Graph) -> list[Known]:
    """What is known of each output of a model."""
    return _follow(graph, [None] * graph.inputs, ())


def units_of(graph: Graph) -> list[int | None]:
    """How many numbers each output of a model has for an example, where the layer that gives them says so."""
    return [_units_of(step.layer) if (step := graph.before(value)) is not None else None for value in graph.outputs]


def _units_of(layer: LayerBase) -> int | None:
    return getattr(layer, "units", None)


def _follow(graph: Graph, inputs: Sequence[Known], path: Path) -> list[Known]:
    return graph.follow(inputs, lambda step, inbound: _outputs_of(step.layer, inbound, (*path, "layers", step.place)))


def _outputs_of(layer: LayerBase, inbound: Sequence[Known], path: Path) -> list[Known]:
    """What is known of each output of a call."""
    if isinstance(layer, NestedModel):
        return _follow(layer.graph, inbound, path)
    return [_first_output(layer, inbound, path), *[None] * (layer.output_count - 1)]


def _first_output(layer: LayerBase, inbound: Sequence[Known], path: Path) -> Known:
    match layer:
        case TimeDistributed() | SpectralNormalization():
            return _outputs_of(layer.layer, inbound, (*path, "layer"))[0]
        case Pipeline():
            return _follow(in_a_row(layer.layers), inbound, path)[0]
        case ActivationLayer(activation="linear"):
            return inbound[0]
        case Rescaling():
            return _rescaled(layer, inbound[0], path)
        case MergingLayer():
            return _merged(layer, inbound, path)
    if layer.type in PASSING_ON + AVERAGING:
        return inbound[0]
    if layer.type in CHOOSING:
        return None if inbound[0] is None or inbound[0].function in ONE_OF_SEVERAL else inbound[0]
    function = _function_of(layer) if len(inbound) == 1 or layer.type in LINEAR else None
    return None if function is None else Ending(path, layer, function, *_range_of(layer, function))


def _function_of(layer: LayerBase) -> str | None:
    """The name of the function that a layer ends with; None where it is not known."""
    match layer:
        case BiasedLayer() | ActivationLayer():
            return layer.activation or "linear"
        case Softmax():
            return "softmax"
        case ReLU():
            return "leaky_relu" if layer.negative_slope else "relu"
        case LeakyReLU() | PReLU() | ELU():
            return {"LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}[layer.type]
        case SequenceLayer():
            return _function_of_memory(layer)
        case Bidirectional():
            return _function_of_both(layer)
    return "linear" if layer.type in LINEAR else "unit length" if layer.type == "UnitNormalization" else None


def _range_of(layer: LayerBase, function: str) -> Range:
    match layer:
        case ReLU(negative_slope=0, max_value=float(most)):
            return 0.0, most
        case ELU():
            return -layer.alpha, inf
    return RANGES.get(function, ANY)


def _function_of_memory(memory: object) -> str | None:
    """A gate lets a part of the function's number through, so that the bounds are the same, 0 included."""
    match memory:
        case RNN(cell=cell) | StackedRNNCells(cells=cell):
            return _function_of_memory(cell[-1] if isinstance(cell, list) else cell)
        case GatedRecurrence(activation=activation, recurrent_activation=gate):
            return (activation or "linear") if gate in YES_OR_NO and activation not in ONE_OF_SEVERAL else None
        case Recurrence(activation=activation):
            return activation or "linear"
    return None


def _function_of_both(layer: Bidirectional) -> str | None:
    """That of both directions, where they have the same and it stays when their answers become one."""
    functions = {_function_of(one) for one in (layer.layer, layer.backward_layer) if one is not None}
    if len(functions) > 1 or layer.merge_mode not in ("concat", "ave"):
        return None
    function = functions.pop()
    return None if function in ONE_OF_SEVERAL and layer.merge_mode == "concat" else function


def _rescaled(layer: Rescaling, before: Known, path: Path) -> Known:
    scale, offset = layer.scale, layer.offset
    if before is None or isinstance(scale, list) or isinstance(offset, list) or scale == 0:
        return None
    if (scale, offset) == (1, 0) or before.function == "linear":
        return before
    low, high = sorted((before.low * scale + offset, before.high * scale + offset))
    return Ending(path, layer, f"{before.function} and Rescaling", low, high)


def _merged(layer: MergingLayer, parts: Sequence[Known], path: Path) -> Known:
    if isinstance(layer, Dot):
        return Ending(path, layer, "cosine", *RANGES["cosine"]) if layer.normalize else None
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    low, high = known[0].low, known[0].high
    for part in known[1:]:
        low, high = _merged_range(layer.type, (low, high), (part.low, part.high))
    functions = sorted({part.function for part in known})
    stays = layer.type == "Average" or (
        layer.type in ("Concatenate", "Maximum", "Minimum") and functions[0] not in ONE_OF_SEVERAL
    )
    if len(functions) == 1 and (stays or functions == ["linear"]):
        return Ending(path, layer, functions[0], low, high)
    return Ending(path, layer, f"{layer.type} of {' and '.join(functions[:3])}", low, high)


def _merged_range(kind: str, one: Range, other: Range) -> Range:
    match kind:
        case "Add":
            return one[0] + other[0], one[1] + other[1]
        case "Subtract":
            return one[0] - other[1], one[1] - other[0]
        case "Multiply":
            products = [0.0 if 0 in (a, b) else a * b for a in one for b in other]
            return min(products), max(products)
        case "Maximum":
            return max(one[0], other[0]), max(one[1], other[1])
        case "Minimum":
            return min(one[0], other[0]), min(one[1], other[1])
    return min(one[0], other[0]), max(one[1], other[1])
