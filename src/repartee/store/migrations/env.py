"""What alembic runs: the steps, on the connection and in the transaction that `store.migrating` opened."""

from __future__ import annotations

from alembic import context

from repartee.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
