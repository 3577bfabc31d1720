"""How a Keras class becomes data: strict fields, both of Keras's spellings, and the call that it stands for."""

import ast
import difflib
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

ResourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""A name that can stand in a path: 1 to 63 letters, digits, dots, underscores and hyphens, beginning with a letter or digit."""

ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]
"""The name of a layer, loss or metric: 1 to 63 letters, digits, dots, underscores and hyphens, beginning with a letter."""


class Spec(BaseModel):
    """Data that a client may send: no unknown fields, no silent conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, use_attribute_docstrings=True)

    def as_document(self) -> dict[str, Any]:
        """The JSON form that is stored: canonical spellings, and only the fields that the client set."""
        return self.model_dump(mode="json", exclude_unset=True)


class KerasObject(Spec):
    """A call of a Keras class as data: ``type`` is the class, every other field an argument of the same name."""

    model_config = ConfigDict(defer_build=True, use_attribute_docstrings=False)  # there are hundreds: see `explanations`

    namespace: ClassVar[str]
    """The Keras module that the class lives in, e.g. ``keras.layers``."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Further names that Keras accepts as a string, e.g. ``mse``."""
    no_arguments: ClassVar[frozenset[str]] = frozenset({"type"})
    """Fields that say which class it is or where it stands, and are no arguments of the call."""

    type: str

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Call the class as clients do, and describe every field by its docstring, `type` apart, which every class declares."""
        schema = handler(core_schema)
        described = handler.resolve_ref_schema(schema)
        described["title"] = cls.model_fields["type"].default
        texts = explanations(cls) | {"type": "Name of the Keras class."}
        properties = described["properties"]
        described["properties"] = {name: properties[name] | {"description": texts[name]} for name in cls.argument_names()}
        return schema

    @classmethod
    def argument_names(cls) -> list[str]:
        """Names of all fields, `type` included: those of the class before those it inherits."""
        declared = (name for ancestor in cls.__mro__ for name in vars(ancestor).get("__annotations__", {}))
        return [name for name in dict.fromkeys(declared) if name in cls.model_fields]

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """Name and value of every argument that differs from its default: those of the class before those it inherits."""
        for name in self.argument_names():
            field = type(self).model_fields[name]
            value = getattr(self, name)
            if name not in self.no_arguments and (field.is_required() or value != field.get_default(call_default_factory=True)):
                yield name, value


def explanations(cls: type[KerasObject]) -> dict[str, str]:
    """The docstring of each field, its own and inherited ones, by name.

    Read from the source only where somebody asks: pydantic would do it for every class at import.
    """
    texts: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        if issubclass(ancestor, KerasObject):
            texts |= _docstrings(ancestor.__module__).get(ancestor.__name__, {})
    return {name: text for name, text in texts.items() if name in cls.model_fields}


@cache
def _docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """The docstrings of attributes by class, for every class of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_attribute_docstrings(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _attribute_docstrings(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in itertools.pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(docstring))):
                yield name, inspect.cleandoc(docstring)


def snake_case(name: str) -> str:
    """Keras's spelling of a class as a string: ``BinaryCrossentropy`` becomes ``binary_crossentropy``.

    Source: ``keras.src.utils.naming.to_snake_case``.
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def suggest(name: str, known: list[str]) -> str:
    """A closing half sentence that names the nearest known name, or else the known names."""
    folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1)
    return f"Did you mean '{folded[near[0]]}'?" if near else f"Known names: {', '.join(sorted(known))}."


def spellings_of(*classes: type[KerasObject]) -> dict[str, str]:
    """The ``type`` by each of the names that Keras accepts for these classes."""
    known: dict[str, str] = {}
    for cls in classes:
        type_name = cls.model_fields["type"].default
        for spelling in (type_name, snake_case(type_name), type_name.lower(), *cls.aliases):
            known[spelling] = type_name
    return known


def accept_spellings(noun: str, *classes: type[KerasObject]) -> Callable[[Any], Any]:
    """Turn each of Keras's spellings of these classes into the flat typed form.

    Accepts a name (``"mse"``, ``"MeanSquaredError"``), Keras's ``{"class_name": …, "config": {…}}`` and the flat form
    itself; everything else passes through, for the typed classes to refuse.
    """
    known = spellings_of(*classes)

    def normalise(value: Any) -> Any:
        if isinstance(value, str):
            if value not in known:
                raise PydanticCustomError(
                    "unknown_name",
                    "Unknown {noun} '{name}'. {suggestion}",
                    {
                        "noun": noun,
                        "name": value[:80],
                        "suggestion": suggest(value[:80], list(dict.fromkeys(known.values()))),
                    },
                )
            return {"type": known[value]}
        if isinstance(value, dict) and set(value) <= {"class_name", "config", "module", "registered_name"}:
            config = value.get("config")
            value = {"type": value.get("class_name"), **(config if isinstance(config, dict) else {})}
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            return value | {"type": known.get(value["type"], value["type"])}
        return value

    return normalise
