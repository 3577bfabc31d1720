"""What goes over the wire for keys."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.spec.base import ResourceName, Spec
from service.workspaces.states import KeyScope

READ_EXAMPLE: dict[str, Any] = {
    "id": "key_01a20b40052676958af2ee9e1501afa3",
    "name": "web-shop",
    "prefix": "fs_3f9c1a07be52",
    "scopes": ["predict"],
    "created_at": "2026-11-24T09:30:00Z",
    "expires_at": "2027-11-24T00:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}


RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)", re.ASCII)


def _only_rfc_3339(value: Any) -> Any:
    """A time, or the text of one. Raises PydanticCustomError on what pydantic takes for one too, such as seconds since 1970."""
    if value is None or isinstance(value, datetime) or (isinstance(value, str) and RFC_3339.fullmatch(value)):
        return value
    raise PydanticCustomError("no_time", "Input should be a time with its zone, e.g. 2030-01-31T00:00:00Z")


class KeyCreate(Spec):
    """A key to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "web-shop", "scopes": ["predict"], "expires_at": "2027-11-24T00:00:00Z"}, {"name": "notebook"}]
        }
    )

    name: ResourceName
    """A name for people: who uses the key, or what for."""
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=4)] = ["read", "train", "predict"]
    """What the key allows: `read` every GET under `/api`, `train` everything else there, `predict` predictions in every
    protocol, `admin` all of it and the keys of the workspace."""
    expires_at: Annotated[AwareDatetime | None, Field(strict=False), BeforeValidator(_only_rfc_3339)] = None
    """When the key ends by itself, with a time zone; `null` means never."""


class KeyRead(Spec):
    """A key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [READ_EXAMPLE]})

    id: str
    """Id of the key."""
    name: str
    """A name for people."""
    prefix: str
    """How the key begins, by which its owner recognises it."""
    scopes: list[KeyScope]
    """What the key allows."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends by itself; `null` means never."""
    last_used_at: datetime | None
    """When it was last used, to the minute; `null` means never."""
    revoked_at: datetime | None
    """When it was revoked; `null` means that it was not."""


class KeyCreated(KeyRead):
    """A new key, with its secret: it is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [READ_EXAMPLE | {"key": "fs_3f9c1a07be52_kYq2rWm0vS8cX4nT7bE1uJ6hL9pA3dG5fZsQwRtYxVo"}],
        }
    )

    key: str
    """The whole key. It is not stored and cannot be shown again."""


class KeyPage(Spec):
    """One page of keys."""

    items: list[KeyRead]
    """The keys of this page; revoked ones too."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""
