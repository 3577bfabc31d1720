"""Reads what ``model.to_json()`` gives, for models whose layers stand in a row.

It is taken for data alone: names of classes and their settings become the form that any client may send, which the typed
classes check as usual. Nothing of it reaches Keras's own deserialiser.
"""

from functools import cache
from typing import Any

import orjson
from pydantic_core import PydanticCustomError

from service.spec.base import KerasObject
from service.spec.constraints import CONSTRAINTS
from service.spec.initializers import INITIALIZERS
from service.spec.layers import LAYERS
from service.spec.layers.recurrent import CELLS
from service.spec.regularizers import REGULARIZERS

DECIDED_ELSEWHERE = frozenset({"dtype", "autocast", "quantization_config", "lora_rank", "lora_alpha"})
"""Settings that the run decides (its dtype policy), or that only a fitted model has."""
USUAL = (("data_format", "channels_last"),)
"""What the catalogue does not offer, since it has this one value."""
FOR_ADAPTING = (("Discretization", "epsilon"),)
"""What only matters while a layer measures its data."""
MAX_DEPTH = 32
KERAS, FUNCTION = "keras", "function"

Document = dict[str, Any]


def read_keras_json(value: Any) -> Document:
    """The ``layers`` and ``input_shape`` of a definition, from the text or the object that ``model.to_json()`` gives.

    Raises PydanticCustomError on another kind of model, on objects of one's own, and on what is no such document.
    """
    document = _parse(value)
    if document.get("class_name") != "Sequential":
        kind = str(document.get("class_name"))[:80]
        message = "Only a Sequential can be taken over from Keras's JSON, and this is a {kind}. Write its layers in a row."
        raise PydanticCustomError("keras_kind", message, {"kind": kind})
    config = document.get("config")
    entries = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(entries, list):
        raise _no_keras_json("its 'config' has no list of 'layers'")
    first = entries[0] if entries else None
    shape = _input_shape(first)
    layers = [_plain(entry, 0) for entry in (entries[1:] if _is_input(first) else entries)]
    return {"layers": layers, **({"input_shape": shape} if shape else {})}


def _parse(value: Any) -> Document:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise _no_keras_json("it is not JSON") from error
    if not isinstance(value, dict):
        raise _no_keras_json("it is no object")
    return value


def _no_keras_json(reason: str) -> PydanticCustomError:
    return PydanticCustomError("keras_json", "This is not what model.to_json() gives: {reason}.", {"reason": reason})


def _is_input(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("class_name") == "InputLayer"


def _input_shape(entry: Any) -> list[Any] | None:
    """The shape of one row, as an InputLayer has it; None where the data decides."""
    config = entry.get("config") if _is_input(entry) else None
    shape = config.get("batch_shape") if isinstance(config, dict) else None
    return shape[1:] if isinstance(shape, list) else None


def _plain(value: Any, depth: int) -> Any:
    """A value as a client would write it; objects become ``{"class_name", "config"}``."""
    if depth > MAX_DEPTH:
        raise _no_keras_json(f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    name, config = value["class_name"], value.get("config")
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
