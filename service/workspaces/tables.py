"""The table of workspaces."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from service.infra.database import Base, now

DEFAULT_WORKSPACE_ID = "ws_default"


class Workspace(Base):
    """A tenant. The first migration makes the one named ``default``."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
