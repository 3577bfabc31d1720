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
from service.spec.endings import Ending, Known, endings_of, pointer_to
from service.spec.graph import Graph, Step, Value, calls_of
from service.spec.layers.fields import everywhere
from service.spec.layers.images import TRAINING_ONLY
from service.spec.losses import LossBase
from service.spec.summary import LayerRow

LINEAR = ("Dense", "Flatten", "Reshape", "Permute", "Dropout", "AlphaDropout", "GaussianDropout", "Identity")
"""Layers that are linear where they have no activation: several in a row say no more than one."""
SCALING = ("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "Embedding", "Discretization", "Hashing")
LARGE_PARAMETERS = 10_000_000
UNSCALED_BEYOND = 10.0
"""Largest absolute input that activations, initial weights and learning rates are made for, generously."""


@dataclass(frozen=True)
class _Output:
    """One output of a model, what is known of its numbers, and the loss that measures it."""

    name: str
    ending: Known
    pointer: str
    """Where the layer stands that decides what its numbers are like."""
    row: LayerRow | None
    """What is known of the layer that gives it."""
    loss: LossBase | None
    loss_pointer: str
    subject: str
    """What it is called in messages."""

    @property
    def activation(self) -> str | None:
        """The function that it ends with; None where that is not known."""
        return None if self.ending is None else self.ending.function

    @property
    def units(self) -> int | None:
        """Length of the last axis."""
        return self.row.output.last if self.row is not None else None


def advise(definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow]) -> list[Problem]:
    """Everything about the model alone that is worth a second look."""
    found = [*_linear_advice(definition), *_training_only_advice(definition)]
    found += [*_large_advice(table), *_adapted_advice(definition, table)]
    for output in _outputs(definition, compile_spec, table):
        found += [*_output_advice(output), *_loss_advice(output)]
    return found


def _outputs(definition: Definition, compile_spec: CompileSpec | None, table: Sequence[LayerRow]) -> Iterator[_Output]:
    rows = {row.place: row for row in table}
    losses = {} if compile_spec is None else compile_spec.losses(definition.output_names)
    endings = endings_of(definition.graph)
    for name, value, ending in zip(definition.output_names, definition.graph.outputs, endings, strict=True):
        step = definition.graph.before(value)
        if step is not None:
            yield _Output(
                name=name,
                ending=ending,
                pointer=pointer_to(("layers", step.place)) if ending is None else ending.pointer,
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


def _output_advice(output: _Output) -> Iterator[Problem]:
    if output.activation == "softmax" and output.row is not None and output.units == 1:
        message = f"Layer '{output.row.name}' is a softmax of a single unit, which always answers 1."
        fix = "Use sigmoid for yes or no, or one unit per class."
        yield Problem(output.pointer, message, "softmax of 1 unit", "sigmoid", fix)


def _loss_advice(output: _Output) -> Iterator[Problem]:
    ending, loss = output.ending, output.loss
    if ending is None or loss is None:
        return
    activation = ending.function
    found = _crossentropy_advice(output, loss, ending) or _meaning_advice(output, loss, ending)
    if not loss.is_classification and loss.answers != "masks" and activation == "softmax":
        message = f"{output.subject} ends with softmax, so its answers add up to 1, but {loss.type} is for numbers."
        fix = "Leave the last activation out, or use a loss for classes."
        found = Problem(output.pointer, message, activation, "linear", fix)
    if found is not None:
        yield found
    if _wants_a_unit_per_class(loss) and output.units == 1 and activation != "softmax":
        message = f"{loss.type} wants one unit per class, but {output.subject[0].lower()}{output.subject[1:]} has 1."
        fix = "Use one unit per class, or BinaryCrossentropy."
        yield Problem(output.pointer, message, "1", "one unit per class", fix)


def _crossentropy_advice(output: _Output, loss: LossBase, ending: Ending) -> Problem | None:
    """Whether what an output ends with gives the probabilities, or the logits, that the loss wants."""
    if loss.answers not in ("probabilities", "shares"):
        return None
    activation = ending.function
    pointer, ends = output.pointer, f"{output.subject} ends with {activation}"
    wanted = "sigmoid" if loss.answers == "probabilities" else "softmax"
    if getattr(loss, "from_logits", False):
        if not ending.are_probabilities:
            return None
        fix = "Leave out from_logits, or let the last layer have no activation."
        return Problem(output.loss_pointer, f"{ends}, but loss {loss.type} has from_logits=true.", activation, "linear", fix)
    if not ending.are_probabilities:
        mend = ", or set from_logits to true" if "from_logits" in type(loss).model_fields else ""
        fix = f"Give it the activation {wanted}{mend}."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities.", activation, wanted, fix)
    if wanted == "softmax" and activation in YES_OR_NO:
        fix = "Use softmax for one of several classes; sigmoid goes with BinaryCrossentropy."
        return Problem(pointer, f"{ends}, but {loss.type} wants probabilities that add up to 1.", activation, "softmax", fix)
    if wanted == "sigmoid" and activation in ONE_OF_SEVERAL:
        message = f"{ends}, which is for one of several classes; {loss.type} is for yes or no."
        fix = "Use CategoricalCrossentropy or SparseCategoricalCrossentropy, or sigmoid."
        return Problem(output.loss_pointer, message, loss.type, "SparseCategoricalCrossentropy", fix)
    return None


def _meaning_advice(output: _Output, loss: LossBase, ending: Ending) -> Problem | None:
    """Whether an output can be what a loss takes it for: a score, a mask or a rate."""
    is_so, wants, fix = {
        "scores": (not ending.have_one_sign, "scores of both signs", "linear"),
        "masks": (ending.are_probabilities, "answers from 0 to 1", "sigmoid"),
        "rates": (ending.low >= 0, "answers that are never negative", "exponential"),
    }.get(loss.answers, (True, "", ""))
    if is_so:
        return None
    message = f"{output.subject} ends with {ending.function}, but {loss.type} wants {wants}."
    return Problem(output.pointer, message, ending.function, fix, f"Give it the activation {fix}.")


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
            return step if step.layer.activation in (None, "linear") and len(calls_of(step.layer)) == 1 else None
        if step.layer.type not in LINEAR:
            return None
        value = step.inbound[0]
    return None


def _training_only_advice(definition: Definition) -> Iterator[Problem]:
    """Layers that leave everything as it is where the model is used."""
    for path, layer in everywhere(definition.layers):
        if layer.type in TRAINING_ONLY:
            consequence, fix = TRAINING_ONLY[layer.type]
            message = f"{layer.type} changes images in training and leaves them as they are in predictions, {consequence}."
            yield Problem(pointer_to(path), message, layer.type, fix=fix)


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
