"""Quotas: a workspace's own numbers, and what the fits of a day have trained."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

json_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Apply. Runs that are there already count nothing: they were accepted without a limit."""
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.add_column(sa.Column("quotas", json_document, nullable=False, server_default="{}"))
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("rows", sa.BigInteger(), nullable=False, server_default="0"))
        runs.add_column(sa.Column("counted_epochs", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.alter_column("quotas", server_default=None)
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("rows", server_default=None)
        runs.alter_column("counted_epochs", server_default=None)
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
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("counted_epochs")
        runs.drop_column("rows")
    with op.batch_alter_table("workspaces") as workspaces:
        workspaces.drop_column("quotas")
