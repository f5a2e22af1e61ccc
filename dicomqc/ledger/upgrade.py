"""Schema revisions: makes an empty database ready and brings an old one up to date, one process at a time."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from dicomqc.core.errors import IntegrityError
from dicomqc.ledger.engine import Ledger

ADVISORY_LOCK = 0x6463_6D71_6300


def upgrade(ledger: Ledger) -> None:
    """Run every missing migration in one transaction. Raises Unavailable, IntegrityError (a revision of newer software).

    SQLite serialises by BEGIN IMMEDIATE; on PostgreSQL an advisory lock does, so that two nodes started at once do not collide.
    """
    with ledger.write() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        config = _config()
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise IntegrityError("the ledger's schema is newer than this software", reason="schema_revision") from error


def head() -> str | None:
    """The newest revision that the migrations reach."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "dicomqc.ledger:migrations")
    return config
