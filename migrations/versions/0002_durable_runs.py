"""Attempts of runs, snapshots to go on from, and indexes that keep listings flat."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

json_document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
LISTINGS = ("priority", "model", "dataset_id", "state")


def only(condition: str) -> dict[str, sa.TextClause]:
    """Arguments of an index that holds only the rows of which the condition is true."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "run_attempts",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cause", sa.String(length=20), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("from_epoch", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint("(ended_at IS NULL) = (cause IS NULL)", name=op.f("ck_run_attempts_cause_when_ended")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_attempts_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_run_attempts")),
    )
    op.drop_index("ix_runs_queue", "runs")
    op.add_column("runs", sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("snapshots", json_document, nullable=False, server_default="[]"))
    op.add_column("runs", sa.Column("inexact_reason", sa.Text(), nullable=True))
    op.execute("UPDATE runs SET queued_at = created_at WHERE state = 'queued'")
    op.execute(
        "INSERT INTO run_attempts (run_id, number, worker_id, started_at, from_epoch, epoch) "
        "SELECT id, attempt, owner, COALESCE(started_at, created_at), 0, epoch FROM runs WHERE state = 'running'"
    )
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("snapshots", server_default=None)
        runs.create_check_constraint(op.f("ck_runs_wait_when_queued"), "(state = 'queued') = (queued_at IS NOT NULL)")
    for column in LISTINGS:
        op.create_index(f"ix_runs_workspace_id_{column}_id", "runs", ["workspace_id", column, "id"])
    op.create_index("ix_runs_queue", "runs", [sa.column("priority").desc(), "id"], **only("state = 'queued'"))
    op.create_index("ix_runs_leases", "runs", ["lease_until"], **only("state = 'running'"))
    op.create_index("ix_runs_keys", "runs", ["created_at"], **only("idempotency_key IS NOT NULL"))


def downgrade() -> None:
    """Take back."""
    for name in ("keys", "leases", "queue", *(f"workspace_id_{column}_id" for column in LISTINGS)):
        op.drop_index(f"ix_runs_{name}", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint(op.f("ck_runs_wait_when_queued"), type_="check")
        for name in ("inexact_reason", "snapshots", "queued_at"):
            runs.drop_column(name)
    op.create_index("ix_runs_queue", "runs", ["state", "priority", "id"])
    op.drop_table("run_attempts")
