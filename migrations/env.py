"""Alembic's entry: runs the migrations on the database of the settings that the caller gives."""

from typing import Any

from alembic import context
from sqlalchemy import event

import service.datasets.tables
import service.models.tables
import service.runs.tables
import service.workspaces.tables  # noqa: F401  # importing the tables makes them known to the metadata
from service.infra.database import Base, make_engine


def _let_tables_be_replaced(connection: Any, _record: Any) -> None:
    # SQLite changes a table by copying and dropping it, and the drop would delete all rows that refer to it.
    connection.execute("PRAGMA foreign_keys=OFF")


settings = context.config.attributes["settings"]
engine = make_engine(settings).execution_options(is_writer=True)
if engine.dialect.name == "sqlite":
    event.listen(engine, "connect", _let_tables_be_replaced)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
