"""The tables. Migrations make them; a test holds the two together.

What was said is in `turns`, `events` and `caller_facts`; `usage` holds none of it and outlives the call it belongs
to, so that the bill stays true after texts are erased.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

MONEY_DIGITS = 9
QUANTITY_DIGITS = 6


class FixedPoint(TypeDecorator[Decimal]):
    """An exact decimal: NUMERIC in PostgreSQL, an integer of the smallest unit in SQLite, which has no decimals."""

    impl = Numeric
    cache_ok = True

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.digits = digits

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type."""
        kind = BigInteger() if dialect.name == "sqlite" else Numeric(24, self.digits)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Round to the smallest unit."""
        if value is None:
            return None
        exact = Decimal(value).quantize(Decimal(1).scaleb(-self.digits), ROUND_HALF_EVEN)
        return int(exact.scaleb(self.digits)) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the decimal again."""
        if value is None:
            return None
        return Decimal(value).scaleb(-self.digits) if dialect.name == "sqlite" else Decimal(value)


class UtcTime(TypeDecorator[datetime]):
    """A moment with a time zone; kept in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type."""
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs a time zone, as in datetime.now(UTC)")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return it in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_Json = JSON().with_variant(JSONB(), "postgresql")
# SQLite numbers rows by itself only in an INTEGER column.
_RowNumber = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("caller_id", Text),
    Column("started_at", UtcTime(), nullable=False),
    Column("ended_at", UtcTime()),
    Column("reason", Text),
    Column("call_s", Float),
    Column("speech_s", Float),
    # Set when its words were erased; what arrives later of such a call is kept without words.
    Column("erased_at", UtcTime()),
    Index("ix_calls_started_at", "started_at"),
    Index("ix_calls_caller_id", "caller_id"),
    Index("ix_calls_agent_started_at", "agent", "started_at"),
)

GREETING = 0
"""The `turn_id` of what the agent says first; those of turns begin at 1."""

turns = Table(
    "turns",
    metadata,
    Column("call_id", ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("turn_id", Integer, primary_key=True, autoincrement=False),
    Column("user_text", Text, nullable=False),
    Column("heard_text", Text, nullable=False),
    Column("unheard_text", Text, nullable=False),
    Column("started_at_ms", Float),
    Column("ended_at_ms", Float),
    Column("latency_ms", Float),
    Column("timings", _Json, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

# No foreign key: a request is billed whether its call's row is there or not, and stays when the call is deleted.
usage = Table(
    "usage",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("call_id", Text),
    Column("turn_id", Integer),
    Column("reply_id", Integer),
    Column("piece_id", Integer),
    Column("agent", Text, nullable=False),
    Column("at", UtcTime(), nullable=False),
    Column("day", Date, nullable=False),
    Column("stage", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("billed", Boolean, nullable=False),
    Column("used", Boolean, nullable=False),
    Column("started_at_ms", Float, nullable=False),
    Column("ended_at_ms", Float, nullable=False),
    Column("audio_s", FixedPoint(QUANTITY_DIGITS)),
    Column("tokens_in", FixedPoint(QUANTITY_DIGITS)),
    Column("tokens_cached", FixedPoint(QUANTITY_DIGITS)),
    Column("tokens_out", FixedPoint(QUANTITY_DIGITS)),
    Column("audio_tokens_in", FixedPoint(QUANTITY_DIGITS)),
    Column("audio_tokens_cached", FixedPoint(QUANTITY_DIGITS)),
    Column("audio_tokens_out", FixedPoint(QUANTITY_DIGITS)),
    Column("characters", FixedPoint(QUANTITY_DIGITS)),
    Column("price_version", Text),
    Column("cost", FixedPoint(MONEY_DIGITS)),
    Column("revision", BigInteger, nullable=False),
    Index("ix_usage_at", "at"),
    Index("ix_usage_agent_at", "agent", "at"),
    Index("ix_usage_call_id", "call_id"),
    Index("ix_usage_day_agent", "day", "agent", "cost", "used"),
)

events = Table(
    "events",
    metadata,
    Column("event_id", _RowNumber, primary_key=True),
    Column("call_id", ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", _Json, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # The same event, replayed, is one event.
    Index("ux_events_call_revision", "call_id", "revision", unique=True),
)

caller_facts = Table(
    "caller_facts",
    metadata,
    Column("fact_id", _RowNumber, primary_key=True),
    Column("caller_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("learned_at", UtcTime(), nullable=False),
    Column("call_id", Text, nullable=False),
    # Not of the text itself: PostgreSQL indexes 2700 bytes at most.
    Column("digest", Text, nullable=False),
    Index("ux_caller_facts_caller_kind_digest", "caller_id", "kind", "digest", unique=True),
)


workers = Table(
    "workers",
    metadata,
    Column("worker_id", Text, primary_key=True),
    Column("seats", Integer, nullable=False),
    Column("draining", Boolean, nullable=False),
    # Seconds of the database's clock, as all of the times here: machines disagree about the time.
    Column("seen_at", Float, nullable=False),
)

seats = Table(
    "seats",
    metadata,
    Column("room", Text, primary_key=True),
    # From here to `identity`: None while the seat is promised and no worker has come for it.
    Column("call_id", Text),
    Column("worker_id", Text),
    Column("identity", Text),
    # Raised by whoever takes the call; only the newest may speak and act.
    Column("epoch", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
    # A promise ends then; once a worker has come for it, when its newest agent got it.
    Column("until", Float, nullable=False),
    # How many agents the call had lost in a row before its newest, each soon.
    Column("losses", Integer, nullable=False, server_default="0"),
    Index("ux_seats_call_id", "call_id", unique=True),
)

# What tools have changed in calls that go on: told before it is done, so that whoever takes a call over does not do
# it again. No words are in it, only a hash of them.
acts = Table(
    "acts",
    metadata,
    Column("call_id", Text, primary_key=True),
    # The act's idempotency key.
    Column("key", Text, primary_key=True),
    Column("tool", Text, nullable=False),
    # Of the agent that did it.
    Column("epoch", Integer, nullable=False),
    # False from the moment before until it is done.
    Column("done", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_acts_at", "at"),
)

# One row: the oldest version of repartee that can work with these tables (migration 0005).
tables_floor = Table("tables_floor", metadata, Column("version", Text, primary_key=True))

OF_ONE_DATABASE = ("turn_words", "ix_turns_said")
"""How what is not in here begins: the index of words, which each database has in its own way (migration 0003)."""

UNITS = (
    *("audio_s", "tokens_in", "tokens_cached", "tokens_out"),
    *("audio_tokens_in", "audio_tokens_cached", "audio_tokens_out", "characters"),
)
"""The columns of `usage` that hold quantities, named as the units."""
