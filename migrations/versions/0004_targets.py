"""The target of a run may be several columns, or one for each output of the model: a JSON document instead of a name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

json_document = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Apply."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("runs", "target", type_=json_document, postgresql_using="to_jsonb(target)")
        return
    with op.batch_alter_table("runs") as table:
        table.alter_column("target", type_=json_document, existing_type=sa.String(1024))
    op.execute("UPDATE runs SET target = json_quote(target) WHERE target IS NOT NULL")


def downgrade() -> None:
    """Undo; a target that is no single name is written out as JSON."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("runs", "target", type_=sa.String(1024), postgresql_using="left(target #>> '{}', 1024)")
        return
    op.execute("UPDATE runs SET target = substr(json_extract(target, '$'), 1, 1024) WHERE target IS NOT NULL")
    with op.batch_alter_table("runs") as table:
        table.alter_column("target", type_=sa.String(1024), existing_type=json_document)
