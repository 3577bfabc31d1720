"""Layers that measure the training rows before a fit: which they are, and what of a model lies before each of them.

Knows no Keras.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from service.spec.definition import Definition
from service.spec.graph import Graph, Step, Value
from service.spec.layers.models import NestedModel

Holder = Definition | NestedModel
"""A model with layers: the whole one, or one in place of a layer."""


class Stage(NamedTuple):
    """The part of one model that computes what reaches a layer, or a model around it."""

    holder: Holder
    around: tuple[Step, ...]
    """The steps that lead to this model, from the outermost on; none for the whole one."""
    inputs: tuple[int, ...]
    """Numbers of the model's inputs that it takes."""
    outputs: tuple[Value, ...]


@dataclass(frozen=True)
class Adapted:
    """A layer that measures what reaches it."""

    path: tuple[Step, ...]
    """The models around it, from the outermost on, and the layer itself."""
    inputs: tuple[int, ...]
    """Numbers of the whole model's inputs that reach it."""
    stages: tuple[Stage, ...]
    """What they go through, one after the other; nothing where the layer takes an input as it is."""


def adapted_layers(definition: Definition) -> list[Adapted]:
    """All of a model, in the order of computing."""
    return [_with_stages(definition, path) for path in _paths(definition.graph, ())]


def _paths(graph: Graph, around: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for step in graph.steps:
        if step.layer.is_adapted:
            yield (*around, step)
        elif isinstance(step.layer, NestedModel):
            yield from _paths(step.layer.graph, (*around, step))


def _with_stages(definition: Definition, path: tuple[Step, ...]) -> Adapted:
    """From the layer outwards: what a model takes is what the model around it has to compute."""
    stages: list[Stage] = []
    wanted = path[-1].inbound
    for level in range(len(path) - 1, -1, -1):
        holder: Holder = path[level - 1].layer if level else definition
        inputs = tuple(value.number for value in wanted)
        if any(value.step is not None for value in wanted):
            inputs = tuple(sorted(holder.graph.needed_for(wanted).inputs))
            stages.insert(0, Stage(holder, path[:level], inputs, wanted))
        if level:
            wanted = tuple(path[level - 1].inbound[number] for number in inputs)
    return Adapted(path, inputs, tuple(stages))
