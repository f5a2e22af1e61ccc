"""Fixtures that several kinds of tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dicomqc import logs
from tests.support import databases

# Converted networks are made once for all sessions, also for the programs that tests start, and not in a person's home.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "converted")


@pytest.fixture(scope="session", autouse=True)
def log() -> None:
    """The log as a node has it: structlog's own default renders tracebacks with local values, slowly."""
    logs.configure("json", stage="test")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of one real PostgreSQL for the whole session."""
    # Outside pytest's numbered folders: a later session may clear those away, and a socket's path must stay short.
    with TemporaryDirectory(prefix="dicomqc-pg-", ignore_cleanup_errors=True) as folder:
        yield from databases.postgres_server(Path(folder))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield databases.sqlite_url(tmp_path)
    else:
        yield from databases.postgres_database(request.getfixturevalue("postgres_server"))
