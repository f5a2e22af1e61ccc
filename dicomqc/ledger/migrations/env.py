"""Alembic's entry: runs the migrations on the connection that `dicomqc.ledger.upgrade` hands over."""

from alembic import context

from dicomqc.ledger import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
