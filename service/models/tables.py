"""The tables of models, revisions, versions and aliases."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.infra.database import Base, now
from service.workspaces.tables import Workspace


class Model(Base):
    """A named definition. Its numbers only grow, so that a deleted version's number never comes back."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("workspace_id", "name"), Index(None, "workspace_id", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey(Workspace.id))
    name: Mapped[str] = mapped_column(String(63))
    description: Mapped[str | None] = mapped_column(String(2000))
    latest_revision: Mapped[int] = mapped_column(default=1)
    next_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Revision(Base):
    """What a model's definition was from one change to the next; it never changes itself."""

    __tablename__ = "model_revisions"

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    compile: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Version(Base):
    """A published result of a run, which can be served."""

    __tablename__ = "model_versions"
    __table_args__ = (CheckConstraint("engine IN ('onnx', 'keras')", name="engine"),)

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(String(40))
    revision: Mapped[int]
    engine: Mapped[Literal["onnx", "keras"]] = mapped_column(String(8))
    metrics: Mapped[dict[str, Any]]
    parity: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    inputs: Mapped[list[Any]]
    outputs: Mapped[list[Any]]
    example: Mapped[dict[str, Any]]
    parameters: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[dict[str, Any]]
    """By name: ``{"sha256", "size_bytes", "media_type"}``."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Alias(Base):
    """A movable name for a version."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "number"], ["model_versions.model_id", "model_versions.number"], ondelete="CASCADE"),
    )

    model_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    number: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class ModelHold(Base):
    """A run that still needs a model. Deleting looks only here."""

    __tablename__ = "model_holds"

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(40), primary_key=True)
