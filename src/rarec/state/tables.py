"""The tables of the service's database. A change needs a revision in `migrations/versions`; a test compares both."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)

_Document = JSON(none_as_null=True)
_Counted = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only where the type is INTEGER

# Times are microseconds since 1970, UTC: both databases keep and order them alike. Money is in picodollars.

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    Column("limits", _Document, nullable=False),
    Column("admin", Boolean),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key_id", String(32), ForeignKey("keys.id"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    Column("dropped", _Document),
    Index(None, "created_us", "id"),
    Index(None, "key_id", "created_us", "id"),
    Index(None, "used_us"),
)

turns = Table(
    "turns",
    metadata,
    Column("session_id", String(64), ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created_us", BigInteger, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("mentions", _Document),
    Column("items", _Document, nullable=False),
    Column("filters", _Document, nullable=False),
    Column("trace", _Document, nullable=False),
    Column("timings_ms", _Document, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("picodollars", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("role IN ('user', 'assistant')", name="role"),
    Index(None, "created_us"),
)

events = Table(
    "events",
    metadata,
    Column("number", _Counted, primary_key=True),
    Column("key_id", String(32), ForeignKey("keys.id"), nullable=False),
    Column("id", String(128), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("item", Text, nullable=False),
    Column("at_us", BigInteger),
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("key_id", "id"),
    ForeignKeyConstraint(["session_id", "turn"], ["turns.session_id", "turns.number"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('shown', 'click', 'like', 'refuse', 'seen', 'clear')", name="kind"),
    Index(None, "session_id", "turn"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("spent_calls", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("spent_picodollars", BigInteger, nullable=False),
    Column("reserved_calls", BigInteger, nullable=False),
    Column("reserved_tokens", BigInteger, nullable=False),
    Column("reserved_picodollars", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    CheckConstraint("scope IN ('request', 'session', 'key', 'day')", name="scope"),
    Index(None, "scope", "used_us"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("most_calls", BigInteger, nullable=False),
    Column("most_tokens", BigInteger, nullable=False),
    Column("most_picodollars", BigInteger, nullable=False),
    Column("actual_calls", BigInteger),
    Column("actual_tokens", BigInteger),
    Column("actual_picodollars", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    CheckConstraint("state IN ('open', 'expired', 'settled')", name="state"),
    Index(None, "state", "expires_us"),
)

reservation_accounts = Table(
    "reservation_accounts",
    metadata,
    Column("reservation_id", String(32), ForeignKey("reservations.id", ondelete="CASCADE"), primary_key=True),
    Column("scope", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Index(None, "scope", "name"),
)
