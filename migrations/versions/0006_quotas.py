"""Quotas: a workspace's own numbers, the bytes that each run keeps, and what the fits of a day have trained."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

json_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


NUMBERS = {"rows": sa.BigInteger(), "stored_bytes": sa.BigInteger(), "counted_epochs": sa.Integer()}
INDEXES = {
    "stored": (["workspace_id", "stored_bytes"], "stored_bytes > 0"),
    "volumes": (["workspace_id", "created_at", "counted_epochs", "rows"], "counted_epochs > 0"),
}


def upgrade() -> None:
    """Apply. The fits that are there already count no epochs: they were accepted without a limit."""
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.add_column(sa.Column("quotas", json_document, nullable=False, server_default="{}"))
    with op.batch_alter_table("runs") as runs:
        for name, number in NUMBERS.items():
            runs.add_column(sa.Column(name, number, nullable=False, server_default="0"))
    op.execute(
        "UPDATE runs SET stored_bytes = (SELECT SUM(size_bytes) FROM run_artifacts WHERE run_id = runs.id) "
        "WHERE id IN (SELECT run_id FROM run_artifacts)"
    )
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.alter_column("quotas", server_default=None)
    with op.batch_alter_table("runs") as runs:
        for name in NUMBERS:
            runs.alter_column(name, server_default=None)
    for name, (columns, condition) in INDEXES.items():
        only = {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}
        op.create_index(f"ix_runs_{name}", "runs", columns, **only)
    op.create_table(
        "spent_volumes",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=40), nullable=False),
        sa.Column("epoch_rows", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_spent_volumes_workspace_id_workspaces")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_spent_volumes")),
    )
    op.create_index("ix_spent_volumes_workspace_id_created_at", "spent_volumes", ["workspace_id", "created_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_spent_volumes_workspace_id_created_at", "spent_volumes")
    op.drop_table("spent_volumes")
    for name in INDEXES:
        op.drop_index(f"ix_runs_{name}", "runs")
    with op.batch_alter_table("runs") as runs:
        for name in NUMBERS:
            runs.drop_column(name)
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.drop_column("quotas")
