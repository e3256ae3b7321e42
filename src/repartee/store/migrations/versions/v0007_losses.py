"""How many agents a call has lost in a row, so that whichever worker takes it over knows what kills them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; workers of the version before write none."""
    op.add_column("seats", sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))
