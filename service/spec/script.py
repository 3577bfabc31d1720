"""Writes a definition as the short Keras script that a person would write. Knows no Keras: it only spells its calls.

Whatever comes from a client goes into a script by ``literal``, ``call`` or ``docstring`` alone, so that it stays data there.
"""

import builtins
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from typing import Any

from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import Definition
from service.spec.graph import Step, calls_of
from service.spec.layers.fields import LayerBase, inside
from service.spec.layers.models import Functional, ModelInput, Sequential

LAST = ("name", "trainable")
"""Arguments that every layer has come after its own, as in Keras's examples."""
DOCSTRING_WIDTH = 100
INDENT = "    "
RESERVED = re.compile("batches|data|itertools|keras|math|model|np|sample_weight|shuffled|tf|[xy][0-9]*")
"""Names that scripts have for other things."""
NOTHING: Mapping[int, str] = {}
Shape = Many[int | None]


def build(name: str, definition: Definition, input_shapes: Many[Shape | None], variables: "Variables | None" = None) -> list[str]:
    """The lines that build a model; ``variables`` are those of the whole script."""
    variables = variables or Variables()
    if definition.inputs is not None:
        return _functional(name, definition, definition.inputs, input_shapes, variables)
    lines: list[str] = []
    writer = Writer(variables, lines)
    layers = [writer.made(layer) for layer in definition.layers]
    if input_shapes[0] is not None:
        layers.insert(0, _input_of_row(input_shapes[0]))
    indented = [f"{INDENT * 2}{layer}," for layer in layers]
    return [*lines, "model = keras.Sequential(", f"{INDENT}[", *indented, f"{INDENT}],", f"{INDENT}name={literal(name)},", ")"]


def _input_of_row(shape: Shape) -> str:
    return f"keras.Input(shape={literal(tuple(shape))})"


def _functional(
    name: str, definition: Definition, inputs: Many[ModelInput], input_shapes: Many[Shape | None], variables: "Variables"
) -> list[str]:
    lines: list[str] = []
    tensors = variables.inputs[id(definition)] = [variables.new(entry.name) for entry in inputs]
    for variable, entry, shape in zip(tensors, inputs, input_shapes, strict=True):
        lines.append(f"{variable} = {_input(entry, shape)}")
    outputs = definition.graph.follow(tensors, Writer(variables, lines).write)
    return [*lines, f"model = keras.Model([{', '.join(tensors)}], [{', '.join(outputs)}], name={literal(name)})"]


def _input(entry: ModelInput, shape: Shape | None) -> str:
    dtype = f", dtype={literal(entry.dtype)}" if entry.dtype != "float32" else ""
    written = "(...,)" if shape is None else literal(tuple(shape))
    return f"keras.Input(shape={written}, name={literal(entry.name)}{dtype})"


class Variables:
    """Names for what a script computes: those of layers and inputs, as far as Python can have them."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self.inputs: dict[int, list[str]] = {}
        """Those of the inputs of each graph, by its Python id."""
        self.outputs: dict[tuple[int, int], list[str]] = {}
        """Those of the outputs of each call, by the layer's Python id and the number of the call."""

    def new(self, name: str) -> str:
        """A name that nothing else has."""
        wanted = re.sub(r"\W", "_", name, flags=re.ASCII)
        is_taken = keyword.iskeyword(wanted) or hasattr(builtins, wanted) or RESERVED.fullmatch(wanted)
        wanted = f"{wanted}_" if is_taken else wanted
        found, number = wanted, 1
        while found in self._taken:
            number += 1
            found = f"{wanted}_{number}"
        self._taken.add(found)
        return found


class Writer:
    """Writes a line for each call of a layer, and lines before for a layer that is called several times or holds a graph."""

    def __init__(self, variables: Variables, lines: list[str]) -> None:
        self._variables = variables
        self._lines = lines
        self._shared: dict[int, str] = {}

    def write(self, step: Step, inbound: list[str]) -> list[str]:
        """The variables of a call's outputs."""
        layer = step.layer
        made = self._reused(step) if len(calls_of(layer)) > 1 else self.made(layer)
        outputs = [self._variables.new(layer.name)]
        outputs += [self._variables.new(f"{layer.name}_{number}") for number in range(1, layer.output_count)]
        self._variables.outputs[id(layer), step.call] = outputs
        self._lines.append(f"{', '.join(outputs)} = {made}({_handed(layer, inbound)})")
        return outputs

    def _reused(self, step: Step) -> str:
        """The variable of a layer that is called several times."""
        if step.place not in self._shared:
            made, variable = self.made(step.layer), self._variables.new(f"{step.layer.name}_layer")
            self._lines.append(f"{variable} = {made}")
            self._shared[step.place] = variable
        return self._shared[step.place]

    def made(self, layer: LayerBase) -> str:
        """The layer as an expression; graphs in it are written before."""
        graphs = {id(graph): self._graph(graph) for graph in _graphs_in(layer)}
        return graphs.get(id(layer)) or call(layer, graphs)

    def _graph(self, layer: Functional) -> str:
        """The variable of a graph in place of a layer."""
        variables = self._variables.inputs[id(layer)] = [self._variables.new(entry.name) for entry in layer.inputs]
        for variable, entry in zip(variables, layer.inputs, strict=True):
            self._lines.append(f"{variable} = {_input(entry, entry.shape)}")
        outputs = layer.graph.follow(variables, Writer(self._variables, self._lines).write)
        model = self._variables.new(f"{layer.name or 'inner'}_model")
        arguments = [one_or_list(variables), one_or_list(outputs), *_about(layer)]
        self._lines.append(f"{model} = keras.Model({', '.join(arguments)})")
        return model


def _graphs_in(layer: LayerBase) -> Iterator[Functional]:
    """The layer itself where it is a graph, else those that it holds; what these hold is written with them."""
    if isinstance(layer, Functional):
        yield layer
    else:
        for _, inner in inside(layer):
            yield from _graphs_in(inner)


def one_or_list(variables: list[str]) -> str:
    """How Keras takes one of something, or several."""
    return variables[0] if len(variables) == 1 else f"[{', '.join(variables)}]"


def _about(model: LayerBase) -> list[str]:
    """The arguments that every model has in place of a layer."""
    name = [f"name={literal(model.name)}"] if model.name is not None else []
    return [*name, *([] if model.trainable else ["trainable=False"])]


def _handed(layer: LayerBase, inbound: list[str]) -> str:
    """The arguments of a call."""
    match layer.joins:
        case "arguments":
            arguments = inbound
        case "initial_state":
            arguments = [inbound[0], *([f"initial_state=[{', '.join(inbound[1:])}]"] if inbound[1:] else [])]
        case _:
            arguments = inbound if layer.input_counts == (1, 1) else [f"[{', '.join(inbound)}]"]
    return ", ".join([*arguments, *(f"{name}={literal(value)}" for name, value in layer.call_arguments.items())])


def compile_call(spec: CompileSpec, definition: Definition) -> list[str]:
    """The lines that compile a model."""
    return spread("model.compile", (f"{name}={value}" for name, value in _compile_arguments(spec, definition)))


def spread(function: str, arguments: Iterable[str]) -> list[str]:
    """A call with an argument a line."""
    return [f"{function}(", *(f"{INDENT}{argument}," for argument in arguments), ")"]


def call(thing: KerasObject, graphs: Mapping[int, str] = NOTHING) -> str:
    """The call that makes a Keras object, with the arguments that differ from Keras's own.

    ``graphs`` has the variables of the functional models in it, by their Python ids.
    """
    if id(thing) in graphs:
        return graphs[id(thing)]
    if isinstance(thing, Sequential):
        shape = [] if thing.input_shape is None else [_input_of_row(thing.input_shape)]
        layers = [*shape, *(call(layer, graphs) for layer in thing.layers)]
        return f"keras.Sequential({', '.join([f'[{_commas(layers)}]', *_about(thing)])})"
    arguments = sorted(thing.arguments(), key=lambda pair: pair[0] in LAST)
    written = _commas(f"{name}={literal(value, graphs)}" for name, value in arguments)
    return f"{thing.namespace}.{thing.type}({written})"


def _commas(items: Iterable[str]) -> str:
    return ", ".join(items)


def literal(value: Any, graphs: Mapping[int, str] = NOTHING) -> str:
    """A value as Python source; ``graphs`` as in ``call``."""
    if isinstance(value, AccuracyByLoss):
        return '"accuracy"'
    if isinstance(value, KerasObject):
        return call(value, graphs)
    if isinstance(value, str):
        return f'"{_escape(value)}"'
    if isinstance(value, list):
        return f"[{_commas(literal(item, graphs) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{_commas(f'{literal(name)}: {literal(item, graphs)}' for name, item in value.items())}}}"
    return repr(value)


def docstring(*paragraphs: str) -> str:
    """Prose as a docstring, whatever is in it."""
    wrapped = [
        "\n".join(textwrap.wrap(_escape(" ".join(text.split())), DOCSTRING_WIDTH, break_long_words=False, break_on_hyphens=False))
        for text in paragraphs
    ]
    return f'"""{wrapped[0]}"""' if len(wrapped) == 1 else '"""' + "\n\n".join(wrapped) + '\n"""'


def _escape(text: str) -> str:
    """Text for between two quotation marks: it can neither end the string nor hide or reorder what follows."""
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _compile_arguments(spec: CompileSpec, definition: Definition) -> Iterator[tuple[str, str]]:
    arguments = spec.keras_arguments(definition.output_names)
    yield "optimizer", literal(spec.optimizer)
    yield "loss", literal(arguments.loss)
    if arguments.loss_weights is not None:
        yield "loss_weights", literal(arguments.loss_weights)
    if arguments.metrics:
        yield "metrics", literal(arguments.metrics)
    if spec.jit_compile:
        yield "jit_compile", "True"
