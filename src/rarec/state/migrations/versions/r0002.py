"""Keys of owners, dropped filters of sessions, taking feedback back, and turns by time."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("keys", sa.Column("admin", sa.Boolean))
    op.add_column("sessions", sa.Column("dropped", sa.JSON(none_as_null=True)))
    op.create_index("ix_turns_created_us", "turns", ["created_us"])
    with op.batch_alter_table("events") as batch:  # SQLite copies the table
        batch.drop_constraint(op.f("ck_events_kind"), type_="check")
        batch.create_check_constraint(
            op.f("ck_events_kind"), "kind IN ('shown', 'click', 'like', 'refuse', 'seen', 'clear')"
        )
