"""Writes a definition as the short Keras script that a person would write. Knows no Keras: it only spells its calls."""

from collections.abc import Iterator
from typing import Any

from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import Definition

LAST = ("name", "trainable")
"""Arguments that every layer has come after its own, as in Keras's examples."""

SCRIPT = '''"""The model "{name}" as a plain Keras script."""

import keras

model = keras.Sequential(
    [
{layers}
    ],
    name="{name}",
)
model.compile(
{arguments}
)

# Fit it to X, an array of shape {shape}, and its targets y:
# model.fit(X, y, epochs=20)
'''


def keras_script(
    name: str,
    definition: Definition,
    compile_spec: CompileSpec,
    input_shape: list[int | None] | None,
) -> str:
    """The script; ``input_shape`` is one row's, without the batch axis, or None where only the data tells it."""
    layers = [call(layer) for layer in definition.layers]
    shape = "(rows, ...)"
    if input_shape is not None:
        layers.insert(0, f"keras.Input(shape={literal(tuple(input_shape))})")
        shape = f"(rows, {', '.join('any' if size is None else str(size) for size in input_shape)})"
    return SCRIPT.format(
        name=name,
        layers="\n".join(f"        {layer}," for layer in layers),
        arguments="\n".join(f"    {argument}={value}," for argument, value in _compile_arguments(compile_spec)),
        shape=shape,
    )


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
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def _compile_arguments(spec: CompileSpec) -> Iterator[tuple[str, str]]:
    yield "optimizer", literal(spec.optimizer)
    yield "loss", literal(spec.loss)
    if spec.metrics:
        yield "metrics", literal(spec.metrics)
    if spec.jit_compile:
        yield "jit_compile", "True"
