"""The schema: made by migrations alone, the same as the code's, refused when it is another's (I13)."""

import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dicomqc.core.errors import ConfigError, IntegrityError, Unavailable
from dicomqc.core.lifecycle import DeliveryState, InstanceState, SeriesState
from dicomqc.core.verdict import Outcome
from dicomqc.ledger import engine, instances, leases, tables
from dicomqc.ledger.engine import Ledger, open_ledger, revision
from dicomqc.ledger.upgrade import head, upgrade
from tests.support.facts import received
from tests.support.ledgers import judge_all, settle_all

OPEN = "import sys; from dicomqc.ledger.engine import open_ledger; open_ledger(sys.argv[1], create=True).close()"


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def test_migrations_end_in_the_schema_of_the_code(ledger: Ledger) -> None:
    with ledger.write() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_migrations_make_the_same_constraints_as_the_code(ledger: Ledger, ledger_url: str) -> None:
    def named(conn: sa.Connection) -> dict[str, object]:
        look = sa.inspect(conn)
        return {
            t.name: (
                {c["name"]: c["sqltext"] for c in look.get_check_constraints(t.name)},
                {u["name"]: u["column_names"] for u in look.get_unique_constraints(t.name)},
                {f["name"]: (f["constrained_columns"], f["referred_table"]) for f in look.get_foreign_keys(t.name)},
                {c["name"]: c["nullable"] for c in look.get_columns(t.name)},
            )
            for t in tables.metadata.sorted_tables
        }

    with ledger.write() as conn:
        migrated = named(conn)
        conn.exec_driver_sql("DROP TABLE alembic_version")
        tables.metadata.drop_all(conn)
        tables.metadata.create_all(conn)
        assert named(conn) == migrated


def test_revision_is_the_head_of_the_scripts(ledger: Ledger) -> None:
    assert tables.REVISION == head() == revision(ledger)


@pytest.mark.parametrize(
    ("table", "column", "states"),
    [
        ("instances", "state", InstanceState),
        ("series", "state", SeriesState),
        ("deliveries", "state", DeliveryState),
        ("verdicts", "outcome", Outcome),
        ("series_verdicts", "outcome", Outcome),
    ],
)
def test_state_names_are_the_check_constraints(ledger: Ledger, table: str, column: str, states: type[StrEnum]) -> None:
    with ledger.read() as conn:
        (text,) = [c["sqltext"] for c in sa.inspect(conn).get_check_constraints(table) if c["name"] == f"ck_{table}_{column}"]
    assert set(text.split("'")[1::2]) == {s.value for s in states}


def test_the_database_refuses_a_state_that_the_code_does_not_know(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    judge_all(ledger)
    settle_all(ledger)
    for table in (tables.instances, tables.series, tables.deliveries):
        with pytest.raises(sa.exc.IntegrityError), ledger.write() as conn:
            conn.execute(sa.update(table).values(state="lost"))


def test_processes_that_open_an_empty_database_at_once_all_succeed(ledger_url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, ledger_url], stderr=subprocess.PIPE) for _ in range(3)]
    errors = [p.communicate(timeout=120)[1].decode() for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], errors
    with open_ledger(ledger_url, create=False) as opened, opened.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar_one() == 1


def test_upgrade_of_the_current_schema_changes_nothing(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    upgrade(ledger)
    assert revision(ledger) == tables.REVISION
    assert instances.get(ledger, 1) is not None


def test_i13_a_schema_of_newer_software_is_refused_and_left_alone(ledger: Ledger, ledger_url: str) -> None:
    with ledger.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IntegrityError, match="9999"):
        open_ledger(ledger_url, create=True)
    with pytest.raises(IntegrityError, match="newer"):
        upgrade(ledger)
    assert revision(ledger) == "9999"


def test_times_come_back_as_aware_utc(ledger: Ledger) -> None:
    got = instances.record(ledger, received(1), revision_note=None).instance
    with ledger.read() as conn:
        now = ledger.now(conn)
    assert now.utcoffset().total_seconds() == got.received_at.utcoffset().total_seconds() == 0
    assert 0 <= (now - got.received_at).total_seconds() < 60


def test_an_error_in_a_transaction_leaves_nothing(ledger: Ledger) -> None:
    def fails() -> None:
        with ledger.write() as conn:
            instances._record(conn, received(1), None, ledger.now(conn))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fails()
    assert instances.held(ledger, "1.2.3.1") == []
    assert leases.claim(ledger, owner="w", limit=1, lease_seconds=1) == []


def test_i1_sqlite_writes_through(tmp_path: Path) -> None:
    with open_ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger, ledger.read() as conn:
        pragmas = {p: conn.exec_driver_sql(f"PRAGMA {p}").scalar_one() for p in ("journal_mode", "synchronous", "foreign_keys")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_locked_database_is_unavailable_and_says_nothing_of_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    url = f"sqlite:///{tmp_path}/l.db"
    with open_ledger(url, create=True) as ledger, ledger.write(), pytest.raises(Unavailable) as raised:
        instances.record(ledger, received(1), revision_note=None)
    assert "1.2.3.1" not in str(raised.value)


def test_a_file_that_is_no_database_is_an_integrity_error(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(IntegrityError, match="not a database"):
        open_ledger(f"sqlite:///{tmp_path}/l.db", create=True)


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite:///file::memory:?cache=shared&uri=true"])
def test_a_ledger_in_memory_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match="needs a file"):
        open_ledger(url, create=True)


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="folder"):
        open_ledger(f"sqlite:///{tmp_path}/file/l.db", create=True)


def test_another_sqlite_driver_is_the_same_file(tmp_path: Path) -> None:
    open_ledger(f"sqlite+aiosqlite:///{tmp_path}/l.db", create=True).close()
    assert (tmp_path / "l.db").exists()
