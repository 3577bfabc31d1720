"""Writes a model alone as the short Keras script that a person would write. Knows no Keras: it only spells its calls."""

from collections.abc import Sequence

from service.spec.adapt_script import adapt_lines
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.script import Shape, Variables, build, compile_call, docstring, literal


def keras_script(
    name: str, definition: Definition, compile_spec: CompileSpec | None, input_shapes: Sequence[Shape | None]
) -> str:
    """The script; ``input_shapes`` are those of one row of each input, None where only the data tells it.

    Without ``compile_spec`` it ends with the model.
    """
    variables = Variables()
    head = [docstring(f"The model '{name}' as a plain Keras script."), "", "import keras", ""]
    model = [*head, *build(name, definition, input_shapes, variables)]
    if compile_spec is None:
        return "\n".join([*model, ""])
    end = [*_how_to_adapt(definition, variables), *_how_to_fit(definition, input_shapes)]
    return "\n".join([*model, *compile_call(compile_spec, definition), "", *end, ""])


def _how_to_adapt(definition: Definition, variables: Variables) -> list[str]:
    arrays = [f"X[{literal(name)}]" for name in definition.input_names] if definition.is_functional else ["X"]
    lines = adapt_lines(definition, variables, arrays)
    return ["# Let it measure X first:", *(f"# {line}" for line in lines)] if lines else []


def _how_to_fit(definition: Definition, input_shapes: Sequence[Shape | None]) -> list[str]:
    shapes = [_rows_in_words(shape) for shape in input_shapes]
    if not definition.is_functional:
        return [f"# Fit it to X, an array of shape {shapes[0]}, and its targets y:", "# model.fit(X, y, epochs=20)"]
    arrays = [f"{name} {shape}" for name, shape in zip(definition.input_names, shapes, strict=True)]
    return [
        f"# Fit it to arrays by the names of its inputs: {', '.join(arrays)};",
        f"# and to its targets by the names of its outputs: {', '.join(definition.output_names)}.",
        "# model.fit(X, y, epochs=20)",
    ]


def _rows_in_words(shape: Shape | None) -> str:
    sizes = ["..."] if shape is None else ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(['rows', *sizes])})"
