"""What predictions need to know of a version, and the ports that bring it. Knows no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from service.spec.frames import TensorSpec

Selector = int | str | None
"""Which version is meant: a number, an alias, or None for the alias ``default`` or else the newest."""


@dataclass(frozen=True)
class ServableVersion:
    """A published version with everything that an answer needs, except the bytes of its engine."""

    model: str
    number: int
    engine: Literal["onnx", "keras"]
    reason: str | None
    """Why the engine is not ``onnx``."""
    plan: dict[str, Any]
    """A ``features.plan.FeaturePlan`` document."""
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    example: dict[str, Any]
    """A native request body that works: ``{"rows": […]}``."""
    onnx_sha256: str | None
    """Content address of the ONNX file; it is also the engine's key in the cache."""
    keras_sha256: str | None = None
    """Content address of what Keras has saved, for versions whose engine is ``keras``; their key in the cache."""


@dataclass(frozen=True)
class ListedVersion:
    """A published version in a list."""

    model: str
    number: int
    engine: Literal["onnx", "keras"]
    reason: str | None
    """Why the engine is not ``onnx``."""


class VersionSource(Protocol):
    """Where versions are found."""

    def list_versions(self, workspace_id: str) -> Sequence[ListedVersion]:
        """All versions of a workspace, by model and number. May block. Raises Unavailable."""

    def resolve(self, workspace_id: str, model: str, selector: Selector) -> ServableVersion:
        """The version that is meant. May block.

        Raises NotFound (``models.errors.AliasNotFound`` where only the alias is unknown), or Unavailable.
        """


class ArtifactReader(Protocol):
    """Where the files of engines come from."""

    def local_path(self, sha256: str) -> Path:
        """A file with these bytes, to be read only. May block. Raises FileNotFoundError when they are not there."""
