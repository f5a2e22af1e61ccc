"""What the receiver mends after a crash (I2): nothing acknowledged is lost, nothing unknown is removed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import SpoolOptions
from dicomqc.ledger import instances, retention, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.receive.reconcile import ReconcileReport, reconcile
from dicomqc.receive.store import Arrival, store
from dicomqc.spool import layout, read
from dicomqc.spool.write import Incoming
from tests.support.parts import XA, identifiers, part10, pixels
from tests.support.receiver import receiver
from tests.support.waiting import until

NOTHING = ReconcileReport(adopted=0, missing=(), leftovers_removed=0, temporaries_removed=0, young=0, unknown=())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    layout.prepare(tmp_path / "spool")
    return tmp_path / "spool"


def put(root: Path, instance: str = "1.2.3.1", content: bytes = b"1234") -> tuple[str, Path]:
    """A final-named object without a row, as a crash before the ledger's commit leaves it."""
    probe = part10(root / "incoming" / "probe", identifiers(instance=instance) + pixels(content), instance=instance)
    digest = read.digest(probe)
    path = root / layout.relative_path(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    probe.replace(path)
    return digest, path


def received(root: Path, ledger: Ledger, instance: str = "1.2.3.1") -> int:
    spool = SpoolOptions(root=root, min_free_bytes=0, retention_days=None)
    with Incoming(root) as incoming:
        temporary = part10(incoming.path / "a", identifiers(instance=instance) + pixels(b"1234"), instance=instance)
        arrival = Arrival(
            temporary=temporary,
            sop_class_uid=XA,
            sop_instance_uid=instance,
            data_bytes=None,
            calling_ae="CATHLAB",
            peer="127.0.0.1",
            association_id=None,
        )
        return store(arrival, ledger, spool).instance.id


def run(ledger: Ledger, root: Path, *, later: float = 3600.0) -> ReconcileReport:
    return reconcile(ledger, root, grace_seconds=60.0, now=time.time() + later)


def test_i2_an_orphan_older_than_the_grace_period_is_adopted_and_never_removed(ledger: Ledger, root: Path) -> None:
    digest, path = put(root)
    report = run(ledger, root)
    assert report.adopted == 1
    (row,) = instances.held(ledger, "1.2.3.1")
    assert (row.digest, row.state, row.path) == (digest, InstanceState.RECEIVED, layout.relative_path(digest))
    assert path.exists()
    assert run(ledger, root) == NOTHING


def test_i2_a_young_orphan_is_left_for_the_receiver_that_may_still_record_it(ledger: Ledger, root: Path) -> None:
    put(root)
    report = run(ledger, root, later=0.0)
    assert (report.adopted, report.young) == (0, 1)
    assert instances.held(ledger, "1.2.3.1") == []


def test_i2_a_file_that_is_not_what_its_name_says_is_reported_and_left_alone(ledger: Ledger, root: Path) -> None:
    _, rotten = put(root)
    rotten.write_bytes(rotten.read_bytes()[:-1] + b"x")
    _, unnamed = put(root, instance="1.2.x")
    stranger = root / "objects" / "notes.txt"
    stranger.write_text("keep me")
    report = run(ledger, root)
    assert report.adopted == 0
    assert set(report.unknown) == {p.relative_to(root).as_posix() for p in (rotten, unnamed, stranger)}
    assert rotten.exists()
    assert unnamed.exists()
    assert stranger.exists()


def test_i2_a_row_without_its_file_is_reported(ledger: Ledger, root: Path) -> None:
    kept, lost = received(root, ledger), received(root, ledger, "1.2.3.2")
    row = instances.get(ledger, lost)
    assert row is not None
    (root / row.path).unlink()
    assert run(ledger, root).missing == (lost,)
    assert kept not in run(ledger, root).missing


def test_a_purge_that_crashed_between_row_and_file_is_finished_after_the_grace_period(ledger: Ledger, root: Path) -> None:
    instance_id = received(root, ledger)
    row = instances.get(ledger, instance_id)
    assert row is not None
    with ledger.write() as conn:
        conn.execute(sa.update(tables.instances).values(state="judged"))
        conn.execute(sa.update(tables.series).values(state="settled"))
    retention.mark_purged(ledger, [instance_id])
    assert run(ledger, root, later=0.0).leftovers_removed == 0
    assert (root / row.path).exists()
    assert run(ledger, root).leftovers_removed == 1
    assert not (root / row.path).exists()
    assert run(ledger, root) == NOTHING


def test_an_adopted_orphan_of_a_known_uid_is_a_revision(ledger: Ledger, root: Path) -> None:
    received(root, ledger)
    put(root, content=b"9999")
    assert run(ledger, root).adopted == 1
    assert [(r.revision, r.revision_note) for r in instances.held(ledger, "1.2.3.1")] == [(1, None), (2, "pixels")]


def test_a_pass_beside_a_live_receiver_touches_neither_its_temporaries_nor_its_objects(ledger: Ledger, root: Path) -> None:
    received(root, ledger)
    with Incoming(root) as incoming:
        (incoming.path / "arriving").write_bytes(b"x")
        assert run(ledger, root) == NOTHING
        assert (incoming.path / "arriving").exists()


def test_i2_the_receiver_adopts_what_a_crash_left_when_it_has_come_of_age(root: Path, tmp_path: Path) -> None:
    put(root)
    dead = root / "incoming" / "1-dead"
    dead.mkdir()
    (dead / "tmpabc.dcm").write_bytes(b"x")
    with receiver(tmp_path, grace_seconds=0.5) as node:
        assert not dead.exists()
        until(lambda: instances.held(node.ledger, "1.2.3.1"))
