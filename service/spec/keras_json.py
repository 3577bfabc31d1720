"""Reads what ``model.to_json()`` gives, for a Sequential and for a functional model, with all that is nested in it.

It is taken for data alone: names of classes and their settings become the form that any client may send, which the typed
classes check as usual. Nothing of it reaches Keras's own deserialiser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from service.spec.base import KerasObject
from service.spec.constraints import CONSTRAINTS
from service.spec.family import relocated
from service.spec.initializers import INITIALIZERS
from service.spec.layers import LAYERS
from service.spec.layers.recurrent import CELLS
from service.spec.nesting import is_deeper_than
from service.spec.regularizers import REGULARIZERS

DECIDED_ELSEWHERE = frozenset({"dtype", "autocast", "quantization_config", "lora_rank", "lora_alpha"})
"""Settings that the run decides (its dtype policy), or that only a fitted model has."""
USUAL = (("data_format", "channels_last"),)
"""What the catalogue does not offer, since it has this one value."""
FOR_ADAPTING = (("Discretization", "epsilon"),)
"""What only matters while a layer measures its data."""
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Of a document that comes as text, which the limits of a body do not see: a model of 500 layers has some 20,000."""
KERAS, FUNCTION, TENSOR = "keras", "function", "__keras_tensor__"
INTERNAL = "keras.src."
"""Where classes live that are not for others to use."""
OPERATIONS = "keras.src.ops."
"""Where the classes of ``x + y`` and the like live."""
MODELS = ("Sequential", "Functional")
IGNORED_ARGUMENTS = ("training", "mask")
"""Of a call: Keras's ``fit`` and ``predict`` say themselves which of both it is, and masks go along with what they are of."""

Document = dict[str, Any]
Location = tuple[int | str, ...]


@dataclass
class Origin:
    """Where the parts of what was read stand in the client's document."""

    path: Location = ()
    """Where the model's own ``config`` stands."""
    layers: list[int] = field(default_factory=list)
    """The place of each layer in Keras's list."""
    inner: dict[int, "Origin"] = field(default_factory=dict)
    """The same for models in place of a layer."""
    is_text: bool = False

    def retrace(self, error: ValidationError) -> ValidationError:
        """The same mistakes, each with its place in the client's document."""
        return relocated(error, lambda loc: ("keras",) if self.is_text else ("keras", *self._in_config(loc)))

    def pointer(self, pointer: str) -> str:
        """The place in the client's document of what stands at ``/definition/…`` in what was read."""
        definition, *rest = pointer.split("/")[1:]
        if definition != "definition" or not rest:
            return pointer
        loc = tuple(int(part) if part.isdigit() else part for part in rest)
        place = ("keras",) if self.is_text else ("keras", *self._in_config(loc))
        return "/".join(["", "definition", *map(str, place)])

    def _in_config(self, loc: Location) -> Location:
        match loc:
            case ("layers", int(place), *rest) if place < len(self.layers):
                start = ("layers", self.layers[place])
                if place in self.inner and rest[:1] == ["config"]:
                    return (*self.path, *start, *self.inner[place]._in_config(tuple(rest[1:])))
                if rest[1:2] == ["inbound"]:
                    return (*self.path, *start, "inbound_nodes")
                return (*self.path, *start, *rest)
            case ("outputs", *_):
                return (*self.path, "output_layers")
            case ("inputs", *_):
                return (*self.path, "input_layers")
        return (*self.path, *loc)


def read_keras_json(value: Any) -> tuple[Document, Origin]:
    """The fields of a definition, from the text or the object that ``model.to_json()`` gives, and where they come from.

    Raises PydanticCustomError on another kind of model, on objects of one's own, and on what is no such document.
    """
    document = _parse(value)
    if document.get("class_name") not in MODELS:
        kind = str(document.get("class_name"))[:80]
        message = "Only a Sequential or a functional model can be taken over from Keras's JSON, and this is '{kind}'."
        raise PydanticCustomError("keras_kind", message, {"kind": kind})
    origin = Origin(is_text=isinstance(value, str))
    model = _model(document, 0, origin)
    return {name: model[name] for name in ("inputs", "layers", "outputs", "input_shape") if name in model}, origin


def _parse(value: Any) -> Document:
    if isinstance(value, str):
        value = _parse_text(value)
    if not isinstance(value, dict):
        raise _no_keras_json("it is no object")
    return value


def _parse_text(text: str) -> Any:
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise _no_keras_json(f"it holds more than {MAX_VALUES} values")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _no_keras_json("it is not JSON") from error
    if is_deeper_than(value, MAX_DEPTH):
        raise _no_keras_json("it is nested too deeply")
    return value


def _no_keras_json(reason: str) -> PydanticCustomError:
    return PydanticCustomError("keras_json", "This is not what model.to_json() gives: {reason}.", {"reason": reason})


def _cannot_come(name: Any, reason: str) -> PydanticCustomError:
    message = "'{name}' cannot be taken over as data: {reason}."
    return PydanticCustomError("keras_layer", message, {"name": str(name)[:80], "reason": reason})


# Models


def _model(document: Document, depth: int, origin: Origin) -> Document:
    """The settings of a model as a client would write them."""
    origin.path = ("config",)
    config = document.get("config")
    entries = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(entries, list):
        raise _no_keras_json("its 'config' has no list of 'layers'")
    common = {name: config[name] for name in ("name", "trainable") if name in config}
    if document["class_name"] == "Functional":
        return common | _functional(config, entries, depth, origin)
    first = entries[0] if entries else None
    offset = 1 if _is_input(first) else 0
    origin.layers = list(range(offset, len(entries)))
    shape = _row_shape(first)
    layers = [_layer(entry, place, depth, origin) for place, entry in enumerate(entries[offset:])]
    return common | {"layers": layers, **({"input_shape": shape} if shape else {})}


def _functional(config: Document, entries: list[Any], depth: int, origin: Origin) -> Document:
    if not all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries):
        raise _no_keras_json("a layer of a functional model has no 'name'")
    inputs = {entry["name"]: entry for entry in entries if _is_input(entry)}
    used = _used(entries, config)
    layers = []
    for place, entry in enumerate(entries):
        if entry["name"] in inputs or (_is_operation(entry) and entry["name"] not in used):
            continue
        origin.layers.append(place)
        if _is_operation(entry):
            layers.append(_operation(entry))
            continue
        inbound, more = _inbound(entry)
        layer = _layer(entry, len(layers), depth, origin)
        layers.append(layer | {"config": layer.get("config", {}) | {"name": entry["name"], "inbound": inbound} | more})
    wanted = [_reference(entry) for entry in _references(config.get("input_layers"))]
    return {
        "inputs": [_input(inputs[name], name) if name in inputs else {"name": name} for name in wanted],
        "layers": layers,
        "outputs": [_reference(entry) for entry in _references(config.get("output_layers"))],
    }


def _used(entries: list[Document], config: Document) -> set[str]:
    """Names of what others take as an input; what is only computed for masks is not among them."""
    by_name = {entry["name"]: entry for entry in entries}
    seen: set[str] = set()
    waiting = [_reference(entry).partition(":")[0] for entry in _references(config.get("output_layers"))]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        waiting += [reference.partition(":")[0] for node in _nodes(by_name[name]) for reference in _tensors(node)]
    return seen


def _is_input(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("class_name") == "InputLayer"


def _input(entry: Document, name: str) -> Document:
    config = entry.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    shape = _row_shape(entry)
    return {"name": name, **({"shape": shape} if shape else {}), **({"dtype": dtype} if isinstance(dtype, str) else {})}


def _row_shape(entry: Any) -> list[Any] | None:
    """The shape of one row, as an InputLayer has it; None where the data decides."""
    config = entry.get("config") if _is_input(entry) else None
    shape = config.get("batch_shape") if isinstance(config, dict) else None
    return shape[1:] if isinstance(shape, list) else None


# Layers and their settings


def _layer(entry: Any, place: int, depth: int, origin: Origin) -> Any:
    if depth > MAX_DEPTH:
        raise _no_keras_json(f"models are nested more than {MAX_DEPTH} deep")
    if isinstance(entry, dict) and entry.get("class_name") in MODELS:
        origin.inner[place] = Origin()
        return {"class_name": entry["class_name"], "config": _model(entry, depth + 1, origin.inner[place])}
    return _plain(entry, depth)


def _plain(value: Any, depth: int) -> Any:
    """A value as a client would write it; objects become ``{"class_name", "config"}``."""
    if depth > MAX_DEPTH:
        raise _no_keras_json(f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    name, config = value["class_name"], value.get("config")
    if name in MODELS:
        return {"class_name": name, "config": _model(value, depth + 1, Origin())}
    _check_is_keras(value)
    if not isinstance(config, dict):
        return {"class_name": name}
    cls = _classes().get((str(value.get("module")), str(name)))
    kept = {key: _as_one_number(key, item) for key, item in config.items() if _is_setting(cls, key, item)}
    return {"class_name": name, "config": {key: _plain(item, depth + 1) for key, item in kept.items()}}


def _check_is_keras(value: Document) -> None:
    module = str(value.get("module", KERAS))
    if module.partition(".")[0] != KERAS or value["class_name"] == FUNCTION:
        name = str(value["class_name"] if value["class_name"] != FUNCTION else value.get("config"))[:80]
        message = "'{name}' is no part of Keras, so it cannot be taken over as data."
        raise PydanticCustomError("keras_custom_object", message, {"name": name})
    if module.startswith(INTERNAL):
        raise _cannot_come(value["class_name"], f"it is a class inside of Keras ({module[:80]}), and no public layer")


def _is_setting(cls: type[KerasObject] | None, name: str, value: Any) -> bool:
    """Whether a setting is for the typed class to check: those that are not set, and not offered, say nothing."""
    if name in DECIDED_ELSEWHERE:
        return False
    is_offered = cls is None or name in cls.model_fields
    type_name = cls.model_fields["type"].default if cls else None
    return is_offered or not (value is None or value is False or (name, value) in USUAL or (type_name, name) in FOR_ADAPTING)


def _as_one_number(name: str, value: Any) -> Any:
    """Keras writes ``factor=0.2`` as ``[-0.2, 0.2]``, which it reads as the same."""
    match value:
        case [int() | float() as low, int() | float() as high] if name.endswith("factor") and low == -high:
            return high
    return value


@cache
def _classes() -> dict[tuple[str, str], type[KerasObject]]:
    families = (LAYERS, CELLS, INITIALIZERS, REGULARIZERS, CONSTRAINTS)
    return {(cls.namespace, name): cls for family in families for name, cls in family.members.items()}


# What goes into a layer


def _inbound(entry: Document) -> tuple[Any, Document]:
    """The references of each call of a layer, and the arguments of the call that are fields of the layer here."""
    calls, arguments = [], []
    for node in _nodes(entry):
        calls.append(list(_tensors(node)))
        more = {name: value for name, value in _further(node) if value is not None and value is not False}
        if set(more) - {"use_causal_mask"}:
            raise _cannot_come(entry["name"], f"its call has the argument '{min(set(more) - {'use_causal_mask'})}'")
        arguments.append(more)
    if any(more != arguments[0] for more in arguments):
        raise _cannot_come(entry["name"], "its calls have different arguments")
    return calls[0] if len(calls) == 1 else calls, arguments[0] if arguments else {}


def _nodes(entry: Document) -> list[Document]:
    nodes = entry.get("inbound_nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise _cannot_come(entry["name"], "its 'inbound_nodes' are not those of Keras 3")
    return nodes


def _tensors(node: Document) -> Iterator[str]:
    """What a call takes, in order: its arguments, then those that are given by name."""
    kwargs = node.get("kwargs") or {}
    named = [value for name, value in kwargs.items() if name not in IGNORED_ARGUMENTS] if isinstance(kwargs, dict) else []
    for value in [*(node.get("args") or []), *named]:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and item.get("class_name") == TENSOR:
                config = item.get("config")
                yield _reference(config.get("keras_history") if isinstance(config, dict) else None)


def _further(node: Document) -> Iterator[tuple[str, Any]]:
    """Arguments of a call that are no tensors."""
    kwargs = node.get("kwargs") or {}
    for name, value in kwargs.items() if isinstance(kwargs, dict) else ():
        items = value if isinstance(value, list) else [value]
        is_tensor = any(isinstance(item, dict) and item.get("class_name") == TENSOR for item in items)
        if name not in IGNORED_ARGUMENTS and not is_tensor:
            yield name, value


def _references(value: Any) -> list[Any]:
    """Keras writes a single one without the list around it, and named ones as an object."""
    if isinstance(value, dict):
        return list(value.values())
    if not isinstance(value, list):
        raise _no_keras_json("it does not say where the graph begins and ends")
    return [value] if value and isinstance(value[0], str) else value


def _reference(value: Any) -> str:
    match value:
        case [str(name), int(call), int(output)]:
            return name if not call and not output else f"{name}:{call}:{output}" if output else f"{name}:{call}"
    raise _no_keras_json("a reference is no list of a name and two numbers")


# Operations such as x + y


ALIKE = {"Add": "Add", "Subtract": "Subtract", "Multiply": "Multiply", "Maximum": "Maximum", "Minimum": "Minimum"}
"""Operations that are layers, too, where both sides are computed."""


def _is_operation(entry: Document) -> bool:
    return str(entry.get("module")).startswith(OPERATIONS)


def _operation(entry: Document) -> Document:
    """The layer that does the same as an operation: a Rescaling where one side is a number."""
    name, kind = entry["name"], entry.get("class_name")
    nodes = _nodes(entry)
    if len(nodes) != 1:
        raise _cannot_come(name, "the operation is used several times")
    args = nodes[0].get("args") or []
    tensors = list(_tensors(nodes[0]))
    numbers = [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)]
    if kind in ALIKE and len(tensors) == len(args) == 2:
        return {"type": ALIKE[str(kind)], "name": name, "inbound": tensors}
    if len(tensors) == len(numbers) == 1 and len(args) == 2:
        is_first = args[0] is numbers[0]
        rescaling = _rescaling(str(kind), float(numbers[0]), is_first)
        if rescaling is not None:
            return {"type": "Rescaling", "name": name, "inbound": tensors, **rescaling}
    raise _cannot_come(name, f"the operation {str(kind)[:80]} is no layer; use the layer that does the same")


def _rescaling(kind: str, number: float, is_first: bool) -> Document | None:
    """``x · scale + offset`` for an operation of x and a number."""
    match kind, is_first:
        case "Add", _:
            return {"scale": 1.0, "offset": number}
        case "Multiply", _:
            return {"scale": number}
        case "Subtract", False:
            return {"scale": 1.0, "offset": -number}
        case "Subtract", True:
            return {"scale": -1.0, "offset": number}
    return None
