"""Builds a model as far as Keras can without weights: shapes, names and refusals. Allocates nothing that a client can choose."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras

from service.spec.base import KerasObject
from service.spec.check_frames import BuildProblem, BuiltLayer, BuiltWeight, Checked, CheckJob
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.training.building import as_keras
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
    problems = [] if compile_spec is None else _refusals({"optimizer": compile_spec.optimizer})  # which takes no scope
    layers: list[BuiltLayer] | None = None
    try:
        with keras.StatelessScope(initialize_variables=False):
            if compile_spec is not None:
                problems += _refusals({"loss": compile_spec.loss})
                problems += _refusals({f"metrics/{place}": metric for place, metric in enumerate(compile_spec.metrics)})
            layers = _build(definition, job.input_shape)
    except Refused as refusal:
        problems.append(refusal.problem)
    finally:
        keras.utils.clear_session(free_memory=False)  # forgets the variables that the next scope's end would allocate
    return Checked(layers=layers, problems=problems)


def _build(definition: Definition, input_shape: list[int | None] | None) -> list[BuiltLayer] | None:
    """What ``keras.Sequential`` does: every layer is called with what the one before it gives."""
    layers = [_attempt(f"{POINTER}/{place}", partial(as_keras, spec)) for place, spec in enumerate(definition.layers)]
    if input_shape is None:
        return None
    start = tensor = _attempt("/definition/input_shape", partial(keras.Input, tuple(input_shape)))
    built = []
    for place, layer in enumerate(layers):
        tensor = _attempt(f"{POINTER}/{place}", partial(layer, tensor))
        built.append(_describe(layer, tensor))
    _attempt(POINTER, partial(keras.Model, start, tensor))
    return built


def _describe(layer: keras.layers.Layer, output: Any) -> BuiltLayer:
    first = keras.tree.flatten(output)[0]
    weights = [BuiltWeight(name=weight.name, shape=list(weight.shape), is_trained=weight.trainable) for weight in layer.weights]
    return BuiltLayer(name=layer.name, type=type(layer).__name__, output_shape=list(first.shape[1:]), weights=weights)


def _refusals(parts: Mapping[str, KerasObject]) -> list[BuildProblem]:
    """What Keras says of these arguments of ``compile``, by their places."""
    problems = []
    for place, part in parts.items():
        try:
            _attempt(f"/compile/{place}", partial(as_keras, part))
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
