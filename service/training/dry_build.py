"""Builds a model as far as Keras can without weights: shapes, names and refusals. Allocates nothing that a client can choose."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
from msgspec.structs import replace

from service.spec.base import KerasObject
from service.spec.check_frames import BuildProblem, BuiltLayer, BuiltWeight, Checked, CheckJob
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.graph import Step
from service.spec.sizes import at_least
from service.training.building import as_keras, call_layer
from service.training.failures import describe_failure

POINTER = "/definition/layers"
DETAILS = "\n\nArguments received by"
PREAMBLE = "Exception encountered when calling"


class Refused(Exception):
    """Keras does not take a part of the model."""

    def __init__(self, problem: BuildProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def dry_build(job: CheckJob) -> Checked:
    """The model's layers, or why Keras refuses one of them or one of the arguments of ``compile``.

    ``StatelessScope`` lets Keras infer every shape, while no variable gets a value.
    """
    definition = Definition.model_validate(job.definition)
    compile_spec = None if job.compile is None else CompileSpec.model_validate(job.compile)
    problems = [] if compile_spec is None else _refusals({"/compile/optimizer": compile_spec.optimizer})  # which takes no scope
    layers: list[BuiltLayer] | None = None
    try:
        with keras.StatelessScope(initialize_variables=False):
            if compile_spec is not None:
                problems += _refusals(_measures(definition, compile_spec))
            layers = _build(definition, job.input_shapes)
    except Refused as refusal:
        problems.append(refusal.problem)
    finally:
        keras.utils.clear_session(free_memory=False)  # forgets the variables that the next scope's end would allocate
    return Checked(layers=layers, problems=problems)


def _measures(definition: Definition, compile_spec: CompileSpec) -> dict[str, KerasObject]:
    """The losses and metrics by the places where they stand."""
    outputs = definition.output_names
    measures: dict[str, KerasObject] = {
        compile_spec.loss_pointer(name): loss for name, loss in compile_spec.losses(outputs).items()
    }
    for name in outputs:
        measures |= {
            compile_spec.metric_pointer(name, place): metric for place, metric in enumerate(compile_spec.metrics_of(name))
        }
    return measures


def _build(definition: Definition, shapes: list[list[int | None]] | None) -> list[BuiltLayer] | None:
    """What ``keras.Sequential`` or a program does: every layer is called with what comes before it."""
    layers = [_attempt(f"{POINTER}/{place}", partial(as_keras, spec)) for place, spec in enumerate(definition.layers)]
    if shapes is None:
        return None
    built: dict[int, BuiltLayer] = {}

    def compute(step: Step, inbound: list[Any]) -> list[Any]:
        layer = layers[step.place]
        outputs: list[Any] = _attempt(f"{POINTER}/{step.place}", partial(call_layer, step, layer, inbound))
        described = _describe(step.place, layer, outputs)
        earlier = built.get(step.place)
        built[step.place] = described if earlier is None else replace(earlier, numbers=earlier.numbers + described.numbers)
        return outputs

    inputs = [
        _attempt(definition.shape_pointer(number), partial(keras.Input, tuple(shape), name=name, dtype=dtype))
        for number, (shape, name, dtype) in enumerate(zip(shapes, definition.input_names, _dtypes(definition), strict=True))
    ]
    outputs = definition.graph.follow(inputs, compute)
    _attempt(POINTER, partial(keras.Model, inputs, outputs))
    return list(built.values())


def _dtypes(definition: Definition) -> list[str]:
    return ["float32"] if definition.inputs is None else [entry.dtype for entry in definition.inputs]


def _describe(place: int, layer: keras.layers.Layer, outputs: list[Any]) -> BuiltLayer:
    first = keras.tree.flatten(outputs[0])[0]
    weights = [
        BuiltWeight(name=_name(layer, weight), shape=list(weight.shape), is_trained=weight.trainable) for weight in layer.weights
    ]
    return BuiltLayer(
        place=place,
        name=layer.name,
        type=type(layer).__name__,
        output_shape=list(first.shape[1:]),
        numbers=sum(at_least(tensor.shape[1:]) for tensor in keras.tree.flatten(outputs)) + _inner_numbers(layer),
        weights=weights,
    )


def _name(layer: keras.layers.Layer, weight: Any) -> str:
    """The name of a weight, with that of its layer where it is one of a model."""
    return str(weight.path if isinstance(layer, keras.Model) else weight.name)


def _inner_numbers(layer: keras.layers.Layer) -> int:
    """Numbers that a row makes inside a model."""
    if not isinstance(layer, keras.Model):
        return 0
    nodes = [(inner, node) for inner in layer.layers for node in inner._inbound_nodes]
    return sum(at_least(out.shape[1:]) for _, node in nodes for out in node.output_tensors) + sum(
        _inner_numbers(inner) for inner in layer.layers
    )


def _refusals(parts: Mapping[str, KerasObject]) -> list[BuildProblem]:
    """What Keras says of these arguments of ``compile``, by their pointers."""
    problems = []
    for place, part in parts.items():
        try:
            _attempt(place, partial(as_keras, part))
        except Refused as refusal:
            problems.append(refusal.problem)
    return problems


def _attempt(pointer: str, make: Callable[[], Any]) -> Any:
    """What ``make`` gives. Raises Refused with Keras's reason where it gives nothing, and MemoryError."""
    try:
        return make()
    except (MemoryError, SystemError):
        raise
    except Exception as error:
        failure = describe_failure(_without_details(error))
        if failure.type == "out_of_memory":
            raise MemoryError from error
        says_why = isinstance(error, ValueError | TypeError | NotImplementedError)
        message = failure.message if says_why else f"Keras cannot build this: {failure.message}."
        raise Refused(BuildProblem(pointer=pointer, message=message, fix=failure.hint)) from error


def _without_details(error: Exception) -> Exception:
    """The error without Keras's list of the arguments of its own functions, which are not the client's."""
    text = str(error).partition(DETAILS)[0]
    if text.startswith(PREAMBLE):
        text = text.partition("\n\n")[2].replace("\x1b[1m", "").replace("\x1b[0m", "")
    if text == str(error) or not text.strip():
        return error
    return type(error)(text) if type(error) in (ValueError, TypeError) else RuntimeError(text)
