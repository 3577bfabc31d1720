"""What a run reads beside its dataset: other datasets, the result of another run, a version to measure."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

json_document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("sources", json_document, nullable=False, server_default="{}"))
    with op.batch_alter_table("runs") as table:
        table.alter_column("sources", server_default=None)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("runs") as table:
        table.drop_column("sources")
