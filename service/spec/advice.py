"""What works but is most likely not meant: a model's layers and loss, read as an experienced colleague would read them.

Knows no Keras. What cannot work at all is refused elsewhere.
"""

from collections.abc import Iterator, Sequence

from service.errors import Problem
from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.layers import LayerBase
from service.spec.losses import LossBase
from service.spec.summary import LayerRow

LAYER_ACTIVATIONS = {"Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "prelu"}
LINEAR = ("Dense", "Flatten", "Reshape", "Permute", "Dropout", "AlphaDropout", "GaussianDropout", "Identity")
"""Layers that are linear where they have no activation: several in a row say no more than one."""
SCALING = ("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "Embedding", "Discretization", "Hashing")
LARGE_PARAMETERS = 10_000_000
UNSCALED_BEYOND = 10.0
"""Largest absolute input that activations, initial weights and learning rates are made for, generously."""


def advise(definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow]) -> list[Problem]:
    """Everything about the model alone that is worth a second look."""
    found = [*_output_advice(definition, table), *_linear_advice(definition), *_large_advice(table)]
    return found if compile_spec is None else [*found, *_loss_advice(definition, compile_spec, table)]


def advise_on_inputs(definition: Definition, largest: float) -> list[Problem]:
    """Whether inputs that reach the model as they are, the largest of them ``largest`` away from 0, need scaling first."""
    if largest <= UNSCALED_BEYOND or definition.layers[0].type in SCALING:
        return []
    message = f"The inputs reach {largest:,.4g} and are not scaled; a fit goes best with inputs of about -1 to 1."
    fix = f"Multiply the data by about {1 / largest:.1g}, or begin with a layer that scales, such as BatchNormalization."
    return [Problem("/definition/layers/0", message, f"{largest:,.4g}", "about 1", fix)]


def advise_on_classes(
    definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow], target: str, classes: int
) -> list[Problem]:
    """Whether the last layer has as many units as a class column has different values."""
    if compile_spec is None or not table or table[-1].output.last is None:
        return []
    units, loss = table[-1].output.last, compile_spec.loss.type
    pointer = _last_pointer(definition)
    if _wants_a_unit_per_class(compile_spec.loss) and units != classes:
        message = f"The last layer has {units} unit(s), but the target '{target}' has {classes} different values."
        return [Problem(pointer, message, str(units), str(classes), f"Give the last layer {classes} units.")]
    if compile_spec.loss.target_encoding == "binary" and classes != 2 and units == 1:
        message = f"{loss} wants 2 classes, but the target '{target}' has {classes} different values."
        fix = f"Use {classes} softmax units with SparseCategoricalCrossentropy, or a loss for numbers."
        return [Problem("/compile/loss", message, loss, "SparseCategoricalCrossentropy", fix)]
    return []


def last_activation(definition: Definition) -> str | None:
    """Name of the function that the last layer ends with; None for a layer that only passes on what it gets."""
    return _activation_of(definition.layers[-1])


def _activation_of(layer: LayerBase) -> str | None:
    if "activation" in type(layer).model_fields:
        activation = getattr(layer, "activation", None)
        return activation if isinstance(activation, str) else "linear" if activation is None else None
    return LAYER_ACTIVATIONS.get(layer.type)


def _output_advice(definition: Definition, table: Sequence[LayerRow]) -> Iterator[Problem]:
    if last_activation(definition) == "softmax" and table and table[-1].output.last == 1:
        message = f"Layer '{table[-1].name}' is a softmax of a single unit, which always answers 1."
        fix = "Use sigmoid for yes or no, or one unit per class."
        yield Problem(_last_pointer(definition), message, "softmax of 1 unit", "sigmoid", fix)


def _loss_advice(definition: Definition, compile_spec: CompileSpec, table: Sequence[LayerRow]) -> Iterator[Problem]:
    activation, loss = last_activation(definition), compile_spec.loss
    if activation is None:
        return
    found = _crossentropy_advice(definition, loss, activation)
    if not loss.is_classification and activation == "softmax":
        message = f"The last layer ends with softmax, so its answers add up to 1, but {loss.type} is for numbers."
        fix = "Leave the last activation out, or use a loss for classes."
        found = Problem(_last_pointer(definition), message, activation, "linear", fix)
    if found is not None:
        yield found
    if _wants_a_unit_per_class(loss) and table and table[-1].output.last == 1 and activation != "softmax":
        message = f"{loss.type} wants one unit per class, but the last layer has 1."
        fix = "Use one unit per class, or BinaryCrossentropy."
        yield Problem(_last_pointer(definition), message, "1", "one unit per class", fix)


def _crossentropy_advice(definition: Definition, loss: LossBase, activation: str) -> Problem | None:
    """Whether what the last layer ends with gives the probabilities, or the logits, that the loss wants."""
    if "from_logits" not in type(loss).model_fields:
        return None
    pointer, ends = _last_pointer(definition), f"The last layer ends with {activation}"
    wanted = "sigmoid" if loss.target_encoding == "binary" else "softmax"
    if getattr(loss, "from_logits", False):
        fix = "Leave out from_logits, or let the last layer have no activation."
        message = f"{ends}, but loss {loss.type} has from_logits=true."
        return Problem("/compile/loss", message, activation, "linear", fix) if activation in YES_OR_NO + ONE_OF_SEVERAL else None
    if activation not in YES_OR_NO + ONE_OF_SEVERAL:
        fix = f"Give it the activation {wanted}, or set from_logits to true."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities.", activation, wanted, fix)
    if wanted == "softmax" and activation in YES_OR_NO:
        fix = "Use softmax for one of several classes; sigmoid goes with BinaryCrossentropy."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities that add up to 1.", activation, "softmax", fix)
    if wanted == "sigmoid" and activation == "softmax":
        message = f"{ends}, which is for one of several classes; {loss.type} is for yes or no."
        fix = "Use CategoricalCrossentropy or SparseCategoricalCrossentropy, or sigmoid."
        return Problem("/compile/loss", message, loss.type, "SparseCategoricalCrossentropy", fix)
    return None


def _wants_a_unit_per_class(loss: LossBase) -> bool:
    return loss.target_encoding in ("index", "one_hot")


def _linear_advice(definition: Definition) -> Iterator[Problem]:
    """A Dense layer without activation before another Dense layer: together they say no more than the second alone."""
    earlier: int | None = None
    for place, layer in enumerate(definition.layers):
        if layer.type == "Dense" and earlier is not None:
            message = f"Layers {earlier} and {place} are Dense with nothing but linear layers between: one would do the same."
            fix = 'Give the first an activation such as "relu", or leave it out.'
            yield Problem(f"/definition/layers/{earlier}", message, "no activation", "an activation", fix)
        if layer.type == "Dense" and _activation_of(layer) == "linear":
            earlier = place
        elif layer.type not in LINEAR or layer.type == "Dense":
            earlier = None


def _large_advice(table: Sequence[LayerRow]) -> Iterator[Problem]:
    parameters = sum(layer.parameters for layer in table)
    for place, layer in enumerate(table):
        if len(table) > 1 and layer.parameters > LARGE_PARAMETERS and 2 * layer.parameters > parameters:
            message = f"Layer '{layer.name}' alone has {layer.parameters:,} of the model's {parameters:,} parameters."
            fix = "Make its input smaller first (pooling, strides, fewer words), or give it fewer units."
            yield Problem(f"/definition/layers/{place}", message, f"{layer.parameters:,}", None, fix)


def _last_pointer(definition: Definition) -> str:
    return f"/definition/layers/{len(definition.layers) - 1}"
