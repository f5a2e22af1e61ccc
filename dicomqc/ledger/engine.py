"""The connection to the ledger: SQLite (WAL, synchronous=FULL) or PostgreSQL (psycopg 3), one code for both.

Write transactions on SQLite begin IMMEDIATE, so that two processes wait for one another instead of failing half-way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from dicomqc.core.errors import ConfigError, IntegrityError, Unavailable
from dicomqc.ledger import tables

BUSY_SECONDS = 30


class Ledger:
    """An open ledger. Safe to share between threads; not across a fork."""

    def __init__(self, url: str) -> None:
        self.url = driver_url(url)
        self._sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(self.url) if self._sqlite else _postgres_engine(self.url)

    @property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine, for the other modules of this package."""
        return self._engine

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that may change rows; commits at the end, rolls back on any error. Raises Unavailable."""
        with _mapped(), self._engine.connect().execution_options(immediate=True) as conn, conn.begin():
            yield conn

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that changes nothing. Raises Unavailable."""
        with _mapped(), self._engine.connect() as conn, conn.begin():
            yield conn

    def now(self, conn: sa.Connection) -> datetime:
        """The database's time, aware UTC (I12)."""
        if self._sqlite:
            text = conn.exec_driver_sql("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')").scalar_one()
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        value: datetime = conn.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return value.astimezone(UTC)

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def open_ledger(url: str, *, create: bool) -> Ledger:
    """Open the ledger at `url` and check its schema; `create` makes the schema in an empty database.

    Raises ConfigError (unusable URL), Unavailable (no answer), IntegrityError (schema_revision: I13, names `ledger upgrade`).
    """
    ledger = Ledger(url)
    try:
        _check_schema(ledger, create=create)
    except BaseException:
        ledger.close()
        raise
    return ledger


def revision(ledger: Ledger) -> str | None:
    """The schema's revision; null in an empty database. Raises IntegrityError where tables stand without a revision."""
    with ledger.read() as conn:
        names = set(sa.inspect(conn).get_table_names())
        if "alembic_version" in names:
            return conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
        if names:
            raise IntegrityError(
                "the database holds tables that are not dicomqc's; give it one of its own", reason="schema_revision"
            )
        return None


def _check_schema(ledger: Ledger, *, create: bool) -> None:
    found = revision(ledger)
    if found is None and create:
        from dicomqc.ledger.upgrade import upgrade  # noqa: PLC0415 - Alembic is only needed where a schema is made

        upgrade(ledger)
        found = revision(ledger)
    if found != tables.REVISION:
        raise IntegrityError(
            f"the ledger's schema is at revision {found or 'none'} and this software needs {tables.REVISION}: "
            "stop the node, back the database up, run `dicomqc ledger upgrade`",
            reason="schema_revision",
        )


def driver_url(url: str) -> sa.URL:
    """`ledger.url` with the driver that we use; nothing is opened. Raises ConfigError."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise ConfigError("ledger.url: not a database URL, such as sqlite:////var/lib/dicomqc/ledger.db") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigError(f"ledger.url: {backend} is not supported; use sqlite or postgresql")
    if not parsed.database or ":memory:" in parsed.database or parsed.database.startswith("file:"):
        raise ConfigError("ledger.url: SQLite needs a file, since several processes share the ledger")
    return parsed.set(drivername="sqlite")


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    try:
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"ledger.url: the folder cannot be made ({error.strerror})") from error
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=24)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: object) -> None:
        # The driver's own implicit BEGIN would make every transaction deferred; ours begin in `_begin`.
        dbapi_connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("immediate") else "BEGIN")

    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            connect_args={"connect_timeout": 10, "options": "-c synchronous_commit=on -c timezone=UTC"},
        )
    except ModuleNotFoundError as error:
        raise ConfigError("ledger.url: PostgreSQL needs the extra `postgres` (pip install 'dicomqc[postgres]')") from error


@contextmanager
def _mapped() -> Iterator[None]:
    """Driver errors that mean 'not now' become Unavailable; messages never carry a statement's values."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise Unavailable(f"the ledger does not answer ({_cause(error)})") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(f"the ledger's connection broke ({_cause(error)})") from error
        if type(error) is DatabaseError:
            # What sqlite3 says of a file that is damaged or no database at all (SQLITE_CORRUPT, SQLITE_NOTADB).
            raise IntegrityError("the ledger's file is damaged or not a database", reason="ledger_damaged") from error
        raise


def _cause(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__
