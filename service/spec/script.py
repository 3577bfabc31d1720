"""Writes a definition as the short Keras script that a person would write. Knows no Keras: it only spells its calls.

Whatever comes from a client goes into a script by ``literal``, ``call`` or ``docstring`` alone, so that it stays data there.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import Definition

LAST = ("name", "trainable")
"""Arguments that every layer has come after its own, as in Keras's examples."""
DOCSTRING_WIDTH = 100
INDENT = "    "


def keras_script(
    name: str,
    definition: Definition,
    compile_spec: CompileSpec | None,
    input_shape: Sequence[int | None] | None,
) -> str:
    """The script; ``input_shape`` is one row's, without the batch axis, or None where only the data tells it.

    Without ``compile_spec`` it ends with the model.
    """
    head = [docstring(f"The model '{name}' as a plain Keras script."), "", "import keras", ""]
    if compile_spec is None:
        return "\n".join([*head, *build(name, definition, input_shape), ""])
    sizes = ["..."] if input_shape is None else ["any" if size is None else str(size) for size in input_shape]
    return "\n".join(
        [
            *head,
            *build(name, definition, input_shape),
            *compile_call(compile_spec),
            "",
            f"# Fit it to X, an array of shape ({', '.join(['rows', *sizes])}), and its targets y:",
            "# model.fit(X, y, epochs=20)",
            "",
        ]
    )


def build(name: str, definition: Definition, input_shape: Sequence[int | None] | None) -> list[str]:
    """The lines that build a model."""
    layers = [call(layer) for layer in definition.layers]
    if input_shape is not None:
        layers.insert(0, f"keras.Input(shape={literal(tuple(input_shape))})")
    indented = [f"{INDENT * 2}{layer}," for layer in layers]
    return ["model = keras.Sequential(", f"{INDENT}[", *indented, f"{INDENT}],", f"{INDENT}name={literal(name)},", ")"]


def compile_call(spec: CompileSpec) -> list[str]:
    """The lines that compile a model."""
    return spread("model.compile", (f"{name}={value}" for name, value in _compile_arguments(spec)))


def spread(function: str, arguments: Iterable[str]) -> list[str]:
    """A call with an argument a line."""
    return [f"{function}(", *(f"{INDENT}{argument}," for argument in arguments), ")"]


def call(thing: KerasObject) -> str:
    """The call that makes a Keras object, with the arguments that differ from Keras's own."""
    arguments = sorted(thing.arguments(), key=lambda pair: pair[0] in LAST)
    inside = ", ".join(f"{name}={literal(value)}" for name, value in arguments)
    return f"{thing.namespace}.{thing.type}({inside})"


def literal(value: Any) -> str:
    """A value as Python source."""
    if isinstance(value, AccuracyByLoss):
        return '"accuracy"'
    if isinstance(value, KerasObject):
        return call(value)
    if isinstance(value, str):
        return f'"{_escape(value)}"'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
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


def _compile_arguments(spec: CompileSpec) -> Iterator[tuple[str, str]]:
    yield "optimizer", literal(spec.optimizer)
    yield "loss", literal(spec.loss)
    if spec.metrics:
        yield "metrics", literal(spec.metrics)
    if spec.jit_compile:
        yield "jit_compile", "True"
