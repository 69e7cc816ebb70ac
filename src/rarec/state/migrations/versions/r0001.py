"""The first tables. What stands here is never changed: databases were made by it."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    document = sa.JSON(none_as_null=True)
    op.create_table(
        "keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("limits", document, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("name", name="uq_keys_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("used_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_sessions_key_id"),
    )
    op.create_index("ix_sessions_created_us_id", "sessions", ["created_us", "id"])
    op.create_index("ix_sessions_key_id_created_us_id", "sessions", ["key_id", "created_us", "id"])
    op.create_index("ix_sessions_used_us", "sessions", ["used_us"])
    op.create_table(
        "turns",
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("mentions", document),
        sa.Column("items", document, nullable=False),
        sa.Column("filters", document, nullable=False),
        sa.Column("trace", document, nullable=False),
        sa.Column("timings_ms", document, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("picodollars", sa.BigInteger, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "number", name="pk_turns"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_turns_session_id", ondelete="CASCADE"),
        sa.CheckConstraint("number >= 1", name=op.f("ck_turns_number")),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_turns_role")),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sa.UniqueConstraint("key_id", "id", name="uq_events_key_id_id"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_events_key_id"),
        sa.ForeignKeyConstraint(
            ["session_id", "turn"],
            ["turns.session_id", "turns.number"],
            name="fk_events_session_id_turn",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("kind IN ('shown', 'click', 'like', 'refuse', 'seen')", name=op.f("ck_events_kind")),
    )
    op.create_index("ix_events_session_id_turn", "events", ["session_id", "turn"])
    op.create_table(
        "accounts",
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        *(
            sa.Column(f"{what}_{unit}", sa.BigInteger, nullable=False)
            for what in ("spent", "reserved")
            for unit in ("calls", "tokens", "picodollars")
        ),
        sa.Column("used_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", name="pk_accounts"),
        sa.CheckConstraint("scope IN ('request', 'session', 'key', 'day')", name=op.f("ck_accounts_scope")),
    )
    op.create_index("ix_accounts_scope_used_us", "accounts", ["scope", "used_us"])
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(f"most_{unit}", sa.BigInteger, nullable=False) for unit in ("calls", "tokens", "picodollars")),
        *(sa.Column(f"actual_{unit}", sa.BigInteger) for unit in ("calls", "tokens", "picodollars")),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        sa.CheckConstraint("state IN ('open', 'expired', 'settled')", name=op.f("ck_reservations_state")),
    )
    op.create_index("ix_reservations_state_expires_us", "reservations", ["state", "expires_us"])
    op.create_table(
        "reservation_accounts",
        sa.Column("reservation_id", sa.String(32), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("reservation_id", "scope", "name", name="pk_reservation_accounts"),
        sa.ForeignKeyConstraint(
            ["reservation_id"],
            ["reservations.id"],
            name="fk_reservation_accounts_reservation_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_reservation_accounts_scope_name", "reservation_accounts", ["scope", "name"])
