"""All Keras classes of one kind as the type of a field, e.g. every layer: ``type`` says which one it is."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cached_property
from typing import Any, cast, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from service.spec.base import KerasObject, accept_spellings

Location = tuple[int | str, ...]

KNOWN_ERRORS = frozenset(get_args(core_schema.ErrorType))
"""Errors that pydantic has words for."""


class Family:
    """Stands in an annotation: ``Layer = Annotated[LayerBase, Family("Layer", LayerBase, "One of Keras's layers.")]``.

    Does what a discriminated union of all classes would do. That one would build a hundred validators at import, and again
    for each field of its type; here a class is built when it first comes up.
    """

    def __init__(self, name: str, base: type[KerasObject], description: str) -> None:
        self.name = name
        self.base = base
        self.description = description
        self._is_being_described: ContextVar[bool] = ContextVar(f"{name} is being described", default=False)

    @cached_property
    def members(self) -> dict[str, type[KerasObject]]:
        """Every class below the base that has a `type` of its own, by that type, in order."""
        return {
            cls.model_fields["type"].default: cls for cls in _below(self.base) if "type" in vars(cls).get("__annotations__", {})
        }

    @cached_property
    def _normalise(self) -> Any:
        return accept_spellings(self.name.lower(), *self.members.values())

    def validate(self, value: Any) -> KerasObject:
        """The typed object of any of Keras's spellings. Raises pydantic's errors, those of a discriminated union included."""
        if isinstance(value, self.base):
            return value
        document = self._normalise(value)
        if not isinstance(document, dict):
            raise PydanticKnownError("model_attributes_type")
        tag = document.get("type")
        if not isinstance(tag, str):
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
        if tag not in self.members:
            expected = ", ".join(f"'{member}'" for member in self.members)
            raise PydanticKnownError("union_tag_invalid", {"discriminator": "'type'", "tag": tag, "expected_tags": expected})
        try:
            return self.members[tag].model_validate(document)
        except ValidationError as error:
            raise relocated(error, lambda loc: ("config", *loc)) if "class_name" in value else error from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A call of `validate`, named so that the JSON schema describes it once and refers to it."""
        return core_schema.no_info_plain_validator_function(
            self.validate, ref=f"{__name__}.{self.name}:family", metadata={"pydantic_js_functions": [self._describe]}
        )

    def _describe(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        name = {"type": "string", "description": "Name of the class, which then takes its defaults."}
        is_outermost = not self._is_being_described.get()
        token = self._is_being_described.set(True)
        try:
            choices = {tag: _schema(cls) if is_outermost else _reference(cls) for tag, cls in sorted(self.members.items())}
            typed = handler(core_schema.tagged_union_schema(choices, "type"))
        finally:
            self._is_being_described.reset(token)
        return {"title": self.name, "description": self.description, "anyOf": [name, typed]}


def relocated(error: ValidationError, move: Callable[[Location], Location]) -> ValidationError:
    """The same mistakes, each at the place that ``move`` gives for the one it has."""
    mistakes = [
        InitErrorDetails(
            type=entry["type"] if entry["type"] in KNOWN_ERRORS else PydanticCustomError(entry["type"], entry["msg"]),
            loc=move(entry["loc"]),
            input=entry["input"],
            ctx=entry.get("ctx", {}),
        )
        for entry in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, mistakes)


def _below(base: type[KerasObject]) -> Iterator[type[KerasObject]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _below(cls)


def _schema(cls: type[KerasObject]) -> CoreSchema:
    cls.model_rebuild()
    return cls.__pydantic_core_schema__


def _reference(cls: type[KerasObject]) -> CoreSchema:
    """Stands for the schema of a class that is being described further out: a layer may hold layers."""
    schema = cast(dict[str, Any], _schema(cls))
    schema = schema.get("schema", schema) if schema["type"] == "definitions" else schema
    return core_schema.definition_reference_schema(str(schema.get("schema_ref") or schema["ref"]))
