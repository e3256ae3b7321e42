"""The oldest repartee that can work with the tables, told by the tables themselves.

Workers of two versions share a database during a rollout. A step that only adds leaves the floor where it is; one
that takes away or changes what the version before reads or writes raises it to its own revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from repartee.store.schema import tables_floor

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Say that versions from this one on can read and write the tables."""
    op.create_table("tables_floor", sa.Column("version", tables_floor.c.version.type, primary_key=True))
    op.execute(sa.insert(tables_floor).values(version=revision))
