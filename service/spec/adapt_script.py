"""Writes what layers measure before a fit as lines of a Keras script. Knows no Keras: it only spells its calls."""

from collections.abc import Sequence

from service.spec.adapting import Stage, adapted_layers
from service.spec.definition import Definition
from service.spec.graph import Step, Value
from service.spec.layers.models import Functional, Sequential
from service.spec.script import Variables, literal, one_or_list


def adapt_lines(
    definition: Definition, variables: Variables, arrays: Sequence[str], rows_at_once: int | None = None
) -> list[str]:
    """The lines that let each layer measure ``arrays``, expressions for the rows of each input of the model.

    They come after those that build the model, which have left ``variables``. Without ``rows_at_once``: all rows.
    """
    lines: list[str] = []
    for adapted in adapted_layers(definition):
        stages = []
        for stage in adapted.stages:
            stages.append(variables.new("before"))
            lines.append(f"{stages[-1]} = {_stage(definition, stage, variables)}")
        slices = f"[start : start + {rows_at_once}]" if rows_at_once else ""
        taken = one_or_list([_taken(definition, number, arrays[number], slices) for number in adapted.inputs])
        for stage_name in stages:
            taken = f"{stage_name}({taken}, training=False)"
        first = arrays[adapted.inputs[0]]
        blocks = f" for start in range(0, len({first}), {rows_at_once})" if slices else ""
        lines.append(f"{_layer(definition, adapted.path)}.adapt({taken}{blocks})")
    return lines


def settle_lines(definition: Definition) -> list[str]:
    """The lines that let each layer compute with the mean and variance that its weights were set to."""
    return [f"{_layer(definition, adapted.path)}.finalize_state()" for adapted in adapted_layers(definition)]


def _taken(definition: Definition, number: int, array: str, slices: str) -> str:
    dtype = "float32" if definition.inputs is None else definition.inputs[number].dtype
    return f"{array}{slices}" if dtype == "float32" else f"{array}{slices}.astype({literal(dtype)})"


def _layer(definition: Definition, path: Sequence[Step]) -> str:
    """The layer, or the model, that a path leads to."""
    found, is_row = "model", not definition.is_functional
    for step in path:
        found += f".layers[{step.place}]" if is_row else f".get_layer({literal(step.layer.name)})"
        is_row = isinstance(step.layer, Sequential)
    return found


def _stage(definition: Definition, stage: Stage, variables: Variables) -> str:
    """A model of the layers of another one, up to what is wanted."""
    holder = stage.holder
    if not (isinstance(holder, Functional) or (holder is definition and definition.is_functional)):
        (value,) = stage.outputs
        assert value.step is not None, "there is a layer before"
        return f"keras.Sequential({_layer(definition, stage.around)}.layers[:{value.step + 1}])"

    def variable_of(value: Value) -> str:
        step = holder.graph.before(value)
        return inputs[value.number] if step is None else variables.outputs[id(step.layer), step.call][value.number]

    inputs = variables.inputs[id(holder)]
    taken = one_or_list([inputs[number] for number in stage.inputs])
    return f"keras.Model({taken}, {one_or_list(list(map(variable_of, stage.outputs)))})"
