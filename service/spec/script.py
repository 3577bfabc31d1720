"""The equivalent Keras script of a definition: short, plain, and all that somebody needs to leave this service."""

from typing import Any

from service.spec.base import KerasObject
from service.spec.compile import AccuracyByLoss, CompileSpec
from service.spec.definition import Definition


def keras_script(name: str, definition: Definition, compile_spec: CompileSpec, input_shape: list[int | None] | None) -> str:
    """A Python script that builds and compiles the model. ``input_shape`` is of one example, None where it is not known."""
    lines = ["import keras", "", "model = keras.Sequential(", "    ["]
    if input_shape is not None:
        lines.append(f"        keras.Input(shape={tuple(input_shape)!r}),")
    lines += [f"        {call(layer)}," for layer in definition.layers]
    lines += ["    ],", f"    name={name!r},", ")", "", "model.compile("]
    lines.append(f"    optimizer={call(compile_spec.optimizer)},")
    lines.append(f"    loss={call(compile_spec.loss)},")
    if compile_spec.metrics:
        lines.append(f"    metrics=[{', '.join(call(metric) for metric in compile_spec.metrics)}],")
    lines += [f"    jit_compile={compile_spec.jit_compile},", ")"]
    if input_shape is not None:
        lines += ["", "model.summary()"]
    lines += ["", "# Fit it on your arrays:", "# model.fit(x, y, epochs=20, validation_split=0.2)", ""]
    return "\n".join(lines)


def call(spec: KerasObject) -> str:
    """The Python expression that makes an object, e.g. ``keras.layers.Dense(units=25, activation='sigmoid')``."""
    if isinstance(spec, AccuracyByLoss):
        return repr(spec.type)
    arguments = ", ".join(f"{name}={_literal(value)}" for name, value in _name_last(spec))
    return f"{spec.namespace}.{spec.type}({arguments})"


def _name_last(spec: KerasObject) -> list[tuple[str, Any]]:
    return sorted(spec.arguments(), key=lambda argument: argument[0] in ("name", "trainable"))


def _literal(value: Any) -> str:
    return call(value) if isinstance(value, KerasObject) else repr(value)
