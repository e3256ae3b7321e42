"""Calls, turns, usage, events and what is remembered of callers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    json = sa.JSON() if sqlite else sa.dialects.postgresql.JSONB()
    row_number = sa.Integer() if sqlite else sa.BigInteger()
    quantity = sa.BigInteger() if sqlite else sa.Numeric(24, 6)
    money = sa.BigInteger() if sqlite else sa.Numeric(24, 9)
    time = sa.DateTime(timezone=True)
    _calls(time)
    _turns(json)
    _usage(time, quantity, money)
    _events(json, row_number)
    _caller_facts(time, row_number)


def _calls(time: sa.DateTime) -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Text(), primary_key=True),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("agent_version", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("caller_id", sa.Text()),
        sa.Column("started_at", time, nullable=False),
        sa.Column("ended_at", time),
        sa.Column("reason", sa.Text()),
        sa.Column("call_s", sa.Float()),
        sa.Column("speech_s", sa.Float()),
        sa.Column("erased_at", time),
    )
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_index("ix_calls_caller_id", "calls", ["caller_id"])


def _turns(json: Any) -> None:
    op.create_table(
        "turns",
        sa.Column("call_id", sa.Text(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("turn_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("user_text", sa.Text(), nullable=False),
        sa.Column("heard_text", sa.Text(), nullable=False),
        sa.Column("unheard_text", sa.Text(), nullable=False),
        sa.Column("started_at_ms", sa.Float()),
        sa.Column("ended_at_ms", sa.Float()),
        sa.Column("latency_ms", sa.Float()),
        sa.Column("timings", json, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
    )


def _usage(time: sa.DateTime, quantity: Any, money: Any) -> None:
    op.create_table(
        "usage",
        sa.Column("request_id", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text()),
        sa.Column("turn_id", sa.Integer()),
        sa.Column("reply_id", sa.Integer()),
        sa.Column("piece_id", sa.Integer()),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("stage", "provider", "model", "purpose", "outcome")
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("billed", sa.Boolean(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("started_at_ms", sa.Float(), nullable=False),
        sa.Column("ended_at_ms", sa.Float(), nullable=False),
        *(
            sa.Column(name, quantity)
            for name in ("audio_s", "tokens_in", "tokens_cached", "tokens_out", "characters")
        ),
        sa.Column("price_version", sa.Text()),
        sa.Column("cost", money),
        sa.Column("revision", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_usage_at", "usage", ["at"])
    op.create_index("ix_usage_agent_at", "usage", ["agent", "at"])
    op.create_index("ix_usage_call_id", "usage", ["call_id"])


def _events(json: Any, row_number: Any) -> None:
    op.create_table(
        "events",
        sa.Column("event_id", row_number, primary_key=True),
        sa.Column("call_id", sa.Text(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
        sa.Column("at_ms", sa.Float(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", json, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
    )
    op.create_index("ux_events_call_revision", "events", ["call_id", "revision"], unique=True)


def _caller_facts(time: sa.DateTime, row_number: Any) -> None:
    op.create_table(
        "caller_facts",
        sa.Column("fact_id", row_number, primary_key=True),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("learned_at", time, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
    )
    columns = ["caller_id", "kind", "digest"]
    op.create_index("ux_caller_facts_caller_kind_digest", "caller_facts", columns, unique=True)
