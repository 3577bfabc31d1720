"""The tables of datasets."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.infra.database import Base, now
from service.workspaces.tables import Workspace


class Dataset(Base):
    """Data that was parsed once and does not change again."""

    __tablename__ = "datasets"
    __table_args__ = (
        CheckConstraint("kind IN ('table', 'arrays')", name="kind"),
        Index(None, "workspace_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey(Workspace.id))
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[Literal["table", "arrays"]] = mapped_column(String(8))
    target: Mapped[str | None] = mapped_column(String(1024))
    rows: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[dict[str, Any]]
    """By name (``table``, or each array's): ``{"sha256", "size_bytes"}``."""
    columns: Mapped[list[Any]]
    """Statistics of each column of a table."""
    arrays: Mapped[list[Any]]
    """Name, shape and dtype of each array."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What describes each of its columns or arrays."""
        return self.columns if self.kind == "table" else self.arrays

    @property
    def names(self) -> list[str]:
        """The names of its columns or arrays."""
        return [entry["name"] for entry in self.entries]


class DatasetHold(Base):
    """A run that still needs a dataset. Deleting looks only here."""

    __tablename__ = "dataset_holds"

    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(40), primary_key=True)
