"""What works but is most likely not meant: a model's layers and loss, read as an experienced colleague would read them.

Knows no Keras. What cannot work at all is refused elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.errors import Problem
from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.adapting import adapted_layers
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.graph import Graph, Step, Value, calls_of
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


@dataclass(frozen=True)
class _Output:
    """One output of a model, the layer that gives it, and the loss that measures it."""

    name: str
    layer: LayerBase
    pointer: str
    row: LayerRow | None
    """What is known of the layer."""
    loss: LossBase | None
    loss_pointer: str
    subject: str
    """What it is called in messages."""

    @property
    def activation(self) -> str | None:
        """Name of the function that it ends with; None for a layer that only passes on what it gets."""
        return _activation_of(self.layer)

    @property
    def units(self) -> int | None:
        """Length of the last axis."""
        return self.row.output.last if self.row is not None else None


def advise(definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow]) -> list[Problem]:
    """Everything about the model alone that is worth a second look."""
    found = [*_linear_advice(definition), *_large_advice(table), *_adapted_advice(definition, table)]
    for output in _outputs(definition, compile_spec, table):
        found += [*_output_advice(output), *_loss_advice(output)]
    return found


def _outputs(definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow]) -> Iterator[_Output]:
    rows = {row.place: row for row in table}
    losses = {} if compile_spec is None else compile_spec.losses(definition.output_names)
    for name, value in zip(definition.output_names, definition.graph.outputs, strict=True):
        step = definition.graph.before(value)
        if step is not None:
            yield _Output(
                name=name,
                layer=step.layer,
                pointer=f"/definition/layers/{step.place}",
                row=rows.get(step.place) if not step.layer.output_count > 1 else None,
                loss=losses.get(name),
                loss_pointer="/compile/loss" if compile_spec is None else compile_spec.loss_pointer(name),
                subject="The last layer" if len(definition.output_names) == 1 else f"Output '{name}'",
            )


def advise_on_inputs(definition: Definition, largest: Mapping[int, float]) -> list[Problem]:
    """Whether inputs that reach the model as they are need scaling first: by their number, how far they reach from 0."""
    found = []
    for step in definition.graph.steps:
        for value in step.inbound:
            reach = largest.get(value.number, 0.0) if value.step is None else 0.0
            if reach > UNSCALED_BEYOND and step.layer.type not in SCALING:
                message = f"The inputs reach {reach:,.4g} and are not scaled; a fit goes best with inputs of about -1 to 1."
                fix = (
                    f"Multiply the data by about {1 / reach:.1g}, or begin with a layer that scales, such as BatchNormalization."
                )
                found.append(Problem(f"/definition/layers/{step.place}", message, f"{reach:,.4g}", "about 1", fix))
    return found


def advise_on_classes(
    definition: Definition, compile_spec: CompileSpec, table: Sequence[LayerRow], targets: Mapping[str, tuple[str, int]]
) -> list[Problem]:
    """Whether layers have as many units as the columns of classes have different values: name and number by the output."""
    found = []
    for output in _outputs(definition, compile_spec, table):
        if output.name in targets and output.units is not None and output.loss is not None:
            found += _class_advice(output, output.loss, output.units, *targets[output.name])
    return found


def _class_advice(output: _Output, loss: LossBase, units: int, target: str, classes: int) -> list[Problem]:
    if _wants_a_unit_per_class(loss) and units != classes:
        message = f"{output.subject} has {units} unit(s), but the target '{target}' has {classes} different values."
        return [Problem(output.pointer, message, str(units), str(classes), f"Give it {classes} units.")]
    if loss.target_encoding == "binary" and classes != 2 and units == 1:
        message = f"{loss.type} wants 2 classes, but the target '{target}' has {classes} different values."
        fix = f"Use {classes} softmax units with SparseCategoricalCrossentropy, or a loss for numbers."
        return [Problem(output.loss_pointer, message, loss.type, "SparseCategoricalCrossentropy", fix)]
    return []


def _activation_of(layer: LayerBase) -> str | None:
    if "activation" in type(layer).model_fields:
        activation = getattr(layer, "activation", None)
        return activation if isinstance(activation, str) else "linear" if activation is None else None
    return LAYER_ACTIVATIONS.get(layer.type)


def _output_advice(output: _Output) -> Iterator[Problem]:
    if output.activation == "softmax" and output.row is not None and output.units == 1:
        message = f"Layer '{output.row.name}' is a softmax of a single unit, which always answers 1."
        fix = "Use sigmoid for yes or no, or one unit per class."
        yield Problem(output.pointer, message, "softmax of 1 unit", "sigmoid", fix)


def _loss_advice(output: _Output) -> Iterator[Problem]:
    activation, loss = output.activation, output.loss
    if activation is None or loss is None:
        return
    found = _crossentropy_advice(output, loss, activation)
    if not loss.is_classification and activation == "softmax":
        message = f"{output.subject} ends with softmax, so its answers add up to 1, but {loss.type} is for numbers."
        fix = "Leave the last activation out, or use a loss for classes."
        found = Problem(output.pointer, message, activation, "linear", fix)
    if found is not None:
        yield found
    if _wants_a_unit_per_class(loss) and output.units == 1 and activation != "softmax":
        message = f"{loss.type} wants one unit per class, but {output.subject[0].lower()}{output.subject[1:]} has 1."
        fix = "Use one unit per class, or BinaryCrossentropy."
        yield Problem(output.pointer, message, "1", "one unit per class", fix)


def _crossentropy_advice(output: _Output, loss: LossBase, activation: str) -> Problem | None:
    """Whether what an output ends with gives the probabilities, or the logits, that the loss wants."""
    if "from_logits" not in type(loss).model_fields:
        return None
    pointer, ends = output.pointer, f"{output.subject} ends with {activation}"
    wanted = "sigmoid" if loss.target_encoding == "binary" else "softmax"
    if getattr(loss, "from_logits", False):
        if activation not in YES_OR_NO + ONE_OF_SEVERAL:
            return None
        fix = "Leave out from_logits, or let the last layer have no activation."
        return Problem(output.loss_pointer, f"{ends}, but loss {loss.type} has from_logits=true.", activation, "linear", fix)
    if activation not in YES_OR_NO + ONE_OF_SEVERAL:
        fix = f"Give it the activation {wanted}, or set from_logits to true."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities.", activation, wanted, fix)
    if wanted == "softmax" and activation in YES_OR_NO:
        fix = "Use softmax for one of several classes; sigmoid goes with BinaryCrossentropy."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities that add up to 1.", activation, "softmax", fix)
    if wanted == "sigmoid" and activation == "softmax":
        message = f"{ends}, which is for one of several classes; {loss.type} is for yes or no."
        fix = "Use CategoricalCrossentropy or SparseCategoricalCrossentropy, or sigmoid."
        return Problem(output.loss_pointer, message, loss.type, "SparseCategoricalCrossentropy", fix)
    return None


def _wants_a_unit_per_class(loss: LossBase) -> bool:
    return loss.target_encoding in ("index", "one_hot")


def _linear_advice(definition: Definition) -> Iterator[Problem]:
    """A Dense layer without activation before another Dense layer: together they say no more than the second alone."""
    graph = definition.graph
    for step in graph.steps:
        if step.layer.type != "Dense" or step.call:
            continue
        earlier = _linear_before(graph, step.inbound[0])
        if earlier is not None:
            where = (
                f"Layers {earlier.place} and {step.place}"
                if not definition.is_functional
                else (f"'{earlier.layer.name}' and '{step.layer.name}'")
            )
            message = f"{where} are Dense with nothing but linear layers between: one would do the same."
            fix = 'Give the first an activation such as "relu", or leave it out.'
            yield Problem(f"/definition/layers/{earlier.place}", message, "no activation", "an activation", fix)


def _linear_before(graph: Graph, value: Value) -> Step | None:
    """The Dense layer without activation that a value comes from, by linear layers alone, and that nothing else needs."""
    while (step := graph.before(value)) is not None and graph.uses[value] == 1 and len(step.inbound) == 1:
        if step.layer.type == "Dense":
            return step if _activation_of(step.layer) == "linear" and len(calls_of(step.layer)) == 1 else None
        if step.layer.type not in LINEAR:
            return None
        value = step.inbound[0]
    return None


def _large_advice(table: Sequence[LayerRow]) -> Iterator[Problem]:
    parameters = sum(layer.parameters for layer in table)
    for layer in table:
        if len(table) > 1 and layer.parameters > LARGE_PARAMETERS and 2 * layer.parameters > parameters:
            message = f"Layer '{layer.name}' alone has {layer.parameters:,} of the model's {parameters:,} parameters."
            fix = "Make its input smaller first (pooling, strides, fewer words), or give it fewer units."
            yield Problem(layer.pointer, message, f"{layer.parameters:,}", None, fix)


def _adapted_advice(definition: Definition, table: Sequence[LayerRow]) -> Iterator[Problem]:
    """A layer that measures what reaches it before the fit, behind one that the fit changes."""
    rows, graph = {row.place: row for row in table}, definition.graph
    for adapted in adapted_layers(definition):
        step, layer = adapted.path[0], adapted.path[-1].layer
        places = [graph.steps[number].place for number in sorted(graph.needed_for(step.inbound).steps)]
        trained = next((rows[place] for place in places if place in rows and rows[place].trained_parameters), None)
        if trained is not None:
            name = layer.name or layer.type
            message = f"'{name}' measures once, before the fit, what comes from '{trained.name}', which the fit then changes."
            fix = f"Use a BatchNormalization in its place, or put it before '{trained.name}'."
            yield Problem(f"/definition/layers/{step.place}", message, layer.type, "BatchNormalization", fix)
