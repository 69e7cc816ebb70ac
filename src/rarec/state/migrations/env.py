"""Run by alembic for `rarec.state.migrating`, inside the transaction and the lock that hold there."""

from alembic import context

from rarec.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
