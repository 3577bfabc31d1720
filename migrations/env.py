"""Alembic's entry: runs the migrations on the database of the settings that the caller gives."""

from alembic import context

import service.datasets.tables
import service.models.tables
import service.runs.tables
import service.workspaces.tables  # noqa: F401  # importing the tables makes them known to the metadata
from service.infra.database import Base, make_engine

settings = context.config.attributes["settings"]
engine = make_engine(settings).execution_options(is_writer=True)
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
