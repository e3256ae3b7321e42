"""Tokens that are sound, which models that hear and speak are billed by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from repartee.store.schema import usage

revision = "0004"
down_revision = "0003"

NEW = ("audio_tokens_in", "audio_tokens_cached", "audio_tokens_out")


def upgrade() -> None:
    """Add the columns; requests of before have none."""
    for name in NEW:
        op.add_column("usage", sa.Column(name, usage.c[name].type))
