"""Run by Alembic: takes the connection that the records store opened and runs the steps on it."""

from __future__ import annotations

from alembic import context

# The steps run inside the transaction of the connection they are given, so a failed step leaves nothing behind.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
