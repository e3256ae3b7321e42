"""Seats and workers: who may come, who takes which call, and since when nothing was heard of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.Text(), primary_key=True),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "seats",
        sa.Column("room", sa.Text(), primary_key=True),
        sa.Column("call_id", sa.Text()),
        sa.Column("worker_id", sa.Text()),
        sa.Column("identity", sa.Text()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
    )
    op.create_index("ux_seats_call_id", "seats", ["call_id"], unique=True)
