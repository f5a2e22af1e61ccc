"""C-STORE from a pynetdicom peer: what Success means, what is refused and with which status (I1–I4, I13)."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pynetdicom import evt

from dicomqc.core.instance import RevisionNote
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import instances, retention, tables
from dicomqc.spool import capacity, read, sweep
from tests.support.parts import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, XA, element, identifiers, part10, pixels
from tests.support.receiver import Receiver, receiver
from tests.support.scu import association, begin, send
from tests.support.waiting import until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def test_i1_success_means_durable_bytes_and_a_row(node: Receiver, tmp_path: Path) -> None:
    dataset = identifiers() + pixels(bytes(range(256)) * 1024)
    path = part10(tmp_path / "a.dcm", dataset)
    with association(node.port) as assoc:
        assert send(assoc, path) == 0x0000
        (row,) = instances.held(node.ledger, "1.2.3.1")
        expected = hashlib.sha256(EXPLICIT_LE.encode() + b"\0" + dataset).hexdigest()
        assert row.digest == expected
        assert row.path == f"objects/{expected[:2]}/{expected[2:4]}/{expected}.dcm"
        assert row.size_bytes == len(dataset)
        assert (row.calling_ae, row.state) == ("CATHLAB", InstanceState.RECEIVED)
        assert (row.sop_class_uid, row.study_instance_uid, row.series_instance_uid) == (XA, "1.2.3", "1.2.3.0")
        stored = node.spool.root / row.path
        assert stored.read_bytes()[read.locate(stored).offset :] == dataset
        assert node.temporaries() == []


def test_i3_the_same_bytes_again_are_success_and_nothing_new(node: Receiver, tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", identifiers() + pixels(b"1234"))
    with association(node.port) as assoc:
        assert [send(assoc, path) for _ in range(3)] == [0x0000] * 3
    assert len(instances.held(node.ledger, "1.2.3.1")) == len(node.objects()) == 1
    assert node.temporaries() == []


def test_i3_success_is_not_said_of_bytes_that_have_gone_or_are_cut(node: Receiver, tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", identifiers() + pixels(b"1234"))
    with association(node.port) as assoc:
        send(assoc, path)
        (stored,) = node.objects()
        whole = stored.read_bytes()
        stored.unlink()
        assert send(assoc, path) == 0x0000
        assert stored.read_bytes() == whole
        stored.write_bytes(whole[:-2])
        assert send(assoc, path) == 0x0000
        assert stored.read_bytes() == whole


def test_i3_after_a_purge_the_bytes_are_held_again_before_success(node: Receiver, tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", identifiers() + pixels(b"1234"))
    with association(node.port) as assoc:
        send(assoc, path)
        (row,) = instances.held(node.ledger, "1.2.3.1")
        with node.ledger.write() as conn:
            conn.execute(sa.update(tables.instances).values(state="judged"))
            conn.execute(sa.update(tables.series).values(state="settled"))
        assert retention.mark_purged(node.ledger, [row.id]) == [row.id]
        assert sweep.remove_object(node.spool.root, row.path, confirm=lambda: True)
        assert send(assoc, path) == 0x0000
    (row,) = instances.held(node.ledger, "1.2.3.1")
    assert row.state is InstanceState.RECEIVED
    assert read.verify(node.spool.root, row.path, row.digest)


def test_i3_other_bytes_under_the_same_uid_are_a_revision_that_says_what_differs(node: Receiver, tmp_path: Path) -> None:
    syntaxes = ((XA, (EXPLICIT_LE,)), (XA, (IMPLICIT_LE,)))
    files = [
        part10(tmp_path / "first.dcm", identifiers() + pixels(b"1234")),
        part10(
            tmp_path / "syntax.dcm",
            identifiers(syntax=IMPLICIT_LE) + pixels(b"1234", syntax=IMPLICIT_LE),
            syntax=IMPLICIT_LE,
        ),
        part10(tmp_path / "elements.dcm", identifiers() + element(0x00204000, b"LT", b"late") + pixels(b"1234")),
        part10(tmp_path / "pixels.dcm", identifiers() + pixels(b"1235")),
    ]
    with association(node.port, syntaxes) as assoc:
        assert [send(assoc, path) for path in files] == [0x0000] * 4
    rows = instances.held(node.ledger, "1.2.3.1")
    assert [row.revision for row in rows] == [1, 2, 3, 4]
    assert [row.revision_note for row in rows] == [None, RevisionNote.SYNTAX, RevisionNote.ELEMENTS, RevisionNote.PIXELS]
    assert len(node.objects()) == 4


REFUSALS = {
    "other_instance": (identifiers(), {"instance": "9.9.9"}, 0xA900),
    "other_class": (identifiers(sop_class="1.2.840.10008.5.1.4.1.1.7"), {}, 0xA900),
    "no_series": (identifiers(series=""), {}, 0xC001),
    "no_study": (identifiers(study=""), {}, 0xC001),
    "bad_series": (identifiers(series="1.2.x"), {}, 0xC002),
    "garbage": (b"\xff" * 200, {}, 0xC000),
    "nested": (
        identifiers(study="", series="")
        + (element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 3000,
        {},
        0xC000,
    ),
    "long_uid": (identifiers(instance="1." + "2" * 63), {"instance": "1." + "2" * 63}, 0x0117),
    "path_in_uid": (identifiers(instance="../../../etc/x"), {"instance": "../../../etc/x"}, 0x0117),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_object_has_a_named_status_and_leaves_neither_file_nor_row(node: Receiver, tmp_path: Path, case: str) -> None:
    dataset, meta, status = REFUSALS[case]
    bad = part10(tmp_path / "bad.dcm", dataset, **meta)
    good = part10(tmp_path / "good.dcm", identifiers(instance="1.2.3.2"), instance="1.2.3.2")
    with association(node.port) as assoc:
        assert send(assoc, bad) == status
        assert node.objects() == []
        assert list(instances.every_held(node.ledger)) == []
        assert send(assoc, good) == 0x0000  # the association lives on
    until(lambda: node.temporaries() == [])


def test_a_deflated_data_set_that_cannot_be_inflated_is_refused(node: Receiver, tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", b"\xde\xad\xbe\xef" * 20, syntax=DEFLATED)
    with association(node.port, ((XA, (DEFLATED,)),)) as assoc:
        assert send(assoc, path) == 0xC000


def test_big_endian_is_kept_as_sent(node: Receiver, tmp_path: Path) -> None:
    dataset = identifiers(syntax=EXPLICIT_BE) + pixels(b"1234", syntax=EXPLICIT_BE)
    path = part10(tmp_path / "a.dcm", dataset, syntax=EXPLICIT_BE)
    with association(node.port, ((XA, (EXPLICIT_BE,)),)) as assoc:
        assert send(assoc, path) == 0x0000
    (stored,) = node.objects()
    assert read.locate(stored).transfer_syntax_uid == EXPLICIT_BE
    assert stored.read_bytes().endswith(dataset)


def test_i13_below_the_minimum_open_associations_are_told_a700(
    node: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = part10(tmp_path / "a.dcm", identifiers())
    with association(node.port) as assoc:
        monkeypatch.setattr(capacity, "free_bytes", lambda _root: -1)
        assert send(assoc, path) == 0xA700
        monkeypatch.undo()
        assert send(assoc, path) == 0x0000


def test_a_ledger_that_is_away_is_told_a700_and_leaves_no_file(node: Receiver, tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", identifiers())
    with association(node.port) as assoc:
        with node.ledger.write() as conn:
            conn.exec_driver_sql("ALTER TABLE instances RENAME TO away")
        assert send(assoc, path) == 0xA700
        assert node.objects() == []
        with node.ledger.write() as conn:
            conn.exec_driver_sql("ALTER TABLE away RENAME TO instances")
        assert send(assoc, path) == 0x0000


def test_a_class_that_is_not_its_contexts_is_refused(node: Receiver) -> None:
    """The allow-list of SOP classes is kept at C-STORE too, not only when contexts are negotiated."""
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with association(node.port) as assoc:
        answers: list[int] = []
        assoc.bind(evt.EVT_DIMSE_RECV, lambda event: answers.append(int(event.message.command_set.Status)))
        begin(assoc, identifiers(sop_class=ct), fragments=9, sop_class=ct)
        until(lambda: answers)
    assert answers == [0xA900]
    assert node.objects() == []


def test_a_transfer_that_is_aborted_leaves_nothing(node: Receiver) -> None:
    with association(node.port) as assoc:
        begin(assoc, identifiers() + pixels(bytes(200_000)), fragments=5)
        until(node.temporaries)
        assoc.abort()
    until(lambda: node.temporaries() == [])
    assert node.objects() == []


def test_a_transfer_whose_connection_breaks_leaves_nothing(node: Receiver) -> None:
    with association(node.port) as assoc:
        begin(assoc, identifiers() + pixels(bytes(200_000)), fragments=5)
        until(node.temporaries)
        assoc.dul.socket.close()
        until(lambda: node.temporaries() == [])
    assert node.objects() == []


def test_i3_eight_associations_that_send_the_same_objects_at_once_leave_each_of_them_once(
    node: Receiver, tmp_path: Path
) -> None:
    files = [
        part10(tmp_path / f"{n}.dcm", identifiers(instance=f"1.2.3.{n}") + pixels(bytes(50_000)), instance=f"1.2.3.{n}")
        for n in range(6)
    ]
    statuses: list[int] = []

    def sender() -> None:
        with association(node.port) as assoc:
            statuses.extend(send(assoc, path) for path in files)

    threads = [threading.Thread(target=sender) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [0x0000] * 48
    rows = list(instances.every_held(node.ledger))
    assert sorted(row.sop_instance_uid for row in rows) == [f"1.2.3.{n}" for n in range(6)]
    assert all(read.verify(node.spool.root, row.path, row.digest) for row in rows)
    assert len(node.objects()) == 6
    assert node.temporaries() == []
