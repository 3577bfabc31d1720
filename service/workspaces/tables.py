"""The tables of workspaces and of their keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.infra.database import Base, now

DEFAULT_WORKSPACE_ID = "ws_default"


class Workspace(Base):
    """A tenant. The first migration makes the one named ``default``."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    quotas: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Its own numbers in place of those of the settings, by names of ``quotas.Quotas``."""


class ApiKey(Base):
    """A key, without its secret. Rows are never deleted: they say who could do what, and that keys are needed at all."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "workspace_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey(Workspace.id))
    name: Mapped[str] = mapped_column(String(63))
    prefix: Mapped[str] = mapped_column(String(32), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute, as ``service.USE_AGE`` says."""
    revoked_at: Mapped[datetime | None]

    def is_valid(self, moment: datetime) -> bool:
        """Whether the key opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)
