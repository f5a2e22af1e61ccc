"""Associations: who is admitted, what is negotiated, how they are leased, how they end (PS3.8 section 9.3.4, I13)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from structlog.testing import LogCapture

from dicomqc.core.errors import ConfigError
from dicomqc.core.options import StorageClasses
from dicomqc.ledger import instances, tables
from dicomqc.ledger.engine import open_ledger
from dicomqc.spool import capacity
from tests.support.parts import EXPLICIT_LE, IMPLICIT_LE, XA, identifiers, part10, pixels
from tests.support.receiver import Receiver, receiver
from tests.support.scu import VERIFICATION, association, begin, send
from tests.support.waiting import until

CT = "1.2.840.10008.5.1.4.1.1.2"
US_RETIRED = "1.2.840.10008.5.1.4.1.1.6"
BIPLANE = "1.2.840.10008.5.1.4.1.1.12.3"
JPEG = "1.2.840.10008.1.2.4.50"
ALLOWED_KEYS = frozenset(
    {
        *("association", "instance", "series", "delivery", "destination", "calling_ae", "called_ae", "peer", "uid_hash"),
        *("sop_class", "transfer_syntax", "status", "reason", "state", "count", "bytes", "seconds", "attempts", "port"),
        *("stage", "path_hash", "error", "free_bytes", "version", "model", "digest", "intake", "event", "log_level"),
    }
)


@pytest.fixture
def logged() -> Iterator[LogCapture]:
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def association_rows(node: Receiver) -> list[Any]:
    with node.ledger.read() as conn:
        return list(conn.execute(sa.select(tables.associations).order_by(tables.associations.c.id)))


def rejection(assoc: Any) -> tuple[int, int, int] | None:
    if not assoc.is_rejected:
        return None
    answer = assoc.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_echo(tmp_path: Path) -> None:
    with receiver(tmp_path) as node, association(node.port, ((VERIFICATION, (IMPLICIT_LE,)),)) as assoc:
        assert assoc.send_c_echo().Status == 0x0000


def test_a_calling_ae_that_is_not_listed_is_rejected_for_good(tmp_path: Path) -> None:
    with receiver(tmp_path, allowed_callers=("CATHLAB",)) as node:
        with association(node.port, calling="STRANGER") as assoc:
            assert rejection(assoc) == (1, 1, 3)
        with association(node.port) as assoc:
            assert rejection(assoc) is None
        assert len(association_rows(node)) == 1


def test_another_called_ae_is_rejected_where_ours_is_required(tmp_path: Path) -> None:
    with receiver(tmp_path, called_ae_required=True) as node:
        with association(node.port, called="ELSEWHERE") as assoc:
            assert rejection(assoc) == (1, 1, 7)
        with association(node.port) as assoc:
            assert assoc.is_established


def test_the_limit_of_associations_is_a_transient_rejection(tmp_path: Path) -> None:
    with receiver(tmp_path, max_associations=2) as node:
        with ExitStack() as stack:
            for _ in range(2):
                assert stack.enter_context(association(node.port)).is_established
            with association(node.port) as assoc:
                assert rejection(assoc) == (2, 3, 2)
        until(lambda: all(row.closed_at for row in association_rows(node)))
        with association(node.port) as assoc:
            assert assoc.is_established


def test_more_than_pynetdicoms_ten_associations_are_served(tmp_path: Path) -> None:
    with receiver(tmp_path, max_associations=14) as node, ExitStack() as stack:
        assert all(stack.enter_context(association(node.port)).is_established for _ in range(14))


def test_i13_below_half_the_minimum_associations_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(tmp_path, min_free_bytes=1000) as node:
        monkeypatch.setattr(capacity, "free_bytes", lambda _root: 499)
        with association(node.port) as assoc:
            assert rejection(assoc) == (2, 3, 1)
        monkeypatch.setattr(capacity, "free_bytes", lambda _root: 500)
        with association(node.port) as assoc:
            assert assoc.is_established


def test_i13_a_transfer_that_would_fill_the_volume_is_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(tmp_path, min_free_bytes=1000) as node, association(node.port) as assoc:
        begin(assoc, identifiers() + pixels(bytes(200_000)), fragments=5)
        until(node.temporaries)
        monkeypatch.setattr(capacity, "free_bytes", lambda _root: 1)
        until(lambda: assoc.is_aborted)
        until(lambda: node.temporaries() == [])


@pytest.mark.parametrize(("offered", "accepted"), [((JPEG, IMPLICIT_LE), JPEG), ((IMPLICIT_LE, JPEG), IMPLICIT_LE)])
def test_the_senders_order_of_syntaxes_wins_in_each_context(tmp_path: Path, offered: tuple[str, ...], accepted: str) -> None:
    contexts = ((XA, offered), (XA, ("1.2.3.999", *offered[::-1])))
    with receiver(tmp_path) as node, association(node.port, contexts) as assoc:
        assert [cx.transfer_syntax[0] for cx in assoc.accepted_contexts] == [accepted, offered[1]]


def test_contexts_outside_angiography_are_rejected_and_logged(tmp_path: Path, logged: LogCapture) -> None:
    with receiver(tmp_path) as node, association(node.port, ((XA, (EXPLICIT_LE,)), (CT, (EXPLICIT_LE,)))) as assoc:
        assert [cx.abstract_syntax for cx in assoc.rejected_contexts] == [CT]
        until(lambda: [e["sop_class"] for e in logged.entries if e["event"] == "context_rejected"] == [CT])


@pytest.mark.parametrize(
    ("choice", "sop_class"),
    [(StorageClasses.ANGIOGRAPHY, BIPLANE), (StorageClasses.ALL, CT), (StorageClasses.ALL, US_RETIRED)],
)
def test_retired_classes_and_with_all_every_class_are_stored(tmp_path: Path, choice: StorageClasses, sop_class: str) -> None:
    path = part10(tmp_path / "a.dcm", identifiers(sop_class=sop_class), sop_class=sop_class)
    with receiver(tmp_path, storage_classes=choice) as node:
        with association(node.port, ((sop_class, (EXPLICIT_LE,)),)) as assoc:
            assert send(assoc, path) == 0x0000
        assert [row.sop_class_uid for row in instances.every_held(node.ledger)] == [sop_class]


def test_an_association_is_a_leased_row_that_is_closed_at_release_and_at_abort(tmp_path: Path) -> None:
    with receiver(tmp_path, heartbeat_seconds=0.2) as node:
        with association(node.port) as assoc:
            (row,) = association_rows(node)
            assert (row.calling_ae, row.called_ae, row.peer) == ("CATHLAB", "DICOMQC", "127.0.0.1")
            assert row.closed_at is None
            until(lambda: association_rows(node)[0].lease_expires_at > row.lease_expires_at)
        until(lambda: association_rows(node)[0].closed_at is not None)
        with association(node.port) as assoc:
            assoc.abort()
        until(lambda: association_rows(node)[1].closed_at is not None)


def test_a_transfer_in_progress_shows_in_the_ledger_until_it_ends(tmp_path: Path) -> None:
    dataset = identifiers() + pixels(bytes(200_000))
    with receiver(tmp_path) as node:
        with association(node.port) as assoc:
            assert not association_rows(node)[0].transferring
            begin(assoc, dataset, fragments=5)
            until(lambda: association_rows(node)[0].transferring)
            assoc.abort()
        until(lambda: not association_rows(node)[0].transferring)
        with association(node.port) as assoc:
            send(assoc, part10(tmp_path / "a.dcm", dataset))
            until(lambda: not association_rows(node)[1].transferring)


def test_a_peer_that_stalls_inside_a_pdu_or_says_nothing_is_dropped(tmp_path: Path) -> None:
    with ExitStack() as stack:
        node = stack.enter_context(receiver(tmp_path, network_timeout_seconds=0.5))
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        assoc = stack.enter_context(association(node.port))
        assoc.dul.socket.socket.sendall(b"\x04\x00\x00\x01\x00\x00" + bytes(100))
        silent.settimeout(10)
        assert silent.recv(1) == b""
        until(lambda: association_rows(node)[0].closed_at is not None)


def test_an_idle_peer_is_aborted_after_the_network_time_out(tmp_path: Path) -> None:
    with receiver(tmp_path, network_timeout_seconds=0.5) as node, association(node.port) as assoc:
        until(lambda: assoc.is_aborted)
        until(lambda: association_rows(node)[0].closed_at is not None)


def test_a_pdu_of_four_gigabytes_ends_the_association_only(tmp_path: Path) -> None:
    with receiver(tmp_path) as node:
        with association(node.port) as assoc:
            assoc.dul.socket.socket.sendall(b"\x04\x00\xff\xff\xff\xff" + bytes(100))
            until(lambda: association_rows(node)[0].closed_at is not None)
        with association(node.port) as assoc:
            assert assoc.is_established


HTTP = b"GET / HTTP/1.1\r\n\r\n"
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
SHORT_REQUEST = b"\x01\x00\x00\x00\x00\x04abcd"


@pytest.mark.parametrize("noise", [HTTP, TLS, SHORT_REQUEST])
def test_a_peer_that_does_not_speak_dicom_harms_nobody(tmp_path: Path, noise: bytes) -> None:
    with receiver(tmp_path, network_timeout_seconds=1.0) as node:
        with socket.create_connection(("127.0.0.1", node.port)) as peer:
            peer.sendall(noise)
            peer.settimeout(10)
            while peer.recv(4096):
                pass
        with association(node.port) as assoc:
            assert assoc.is_established


def test_stopping_ends_idle_and_stalled_associations_and_closes_their_rows(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with receiver(tmp_path) as node:
            idle = stack.enter_context(association(node.port))
            stalled = stack.enter_context(association(node.port))
            begin(stalled, identifiers() + pixels(bytes(200_000)), fragments=5)
            until(node.temporaries)
            stalled.dul.socket.socket.sendall(b"\x04\x00\x00\x01\x00\x00" + bytes(100))
            assert idle.is_established
        incoming = tmp_path / "spool" / "incoming"
        assert list(incoming.iterdir()) == []
        with receiver(tmp_path) as again:
            assert all(row.closed_at is not None for row in association_rows(again))


def test_a_port_that_is_taken_is_a_configuration_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, open_ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)), receiver(tmp_path, ledger=ledger, port=port):
            pass


def test_a_spool_that_is_no_folder_is_a_configuration_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"spool\.root"), receiver(tmp_path):
        pass


def test_no_log_line_holds_a_patients_name_or_a_uid(tmp_path: Path, logged: LogCapture) -> None:
    good = part10(tmp_path / "good.dcm", identifiers())
    bad = part10(tmp_path / "bad.dcm", identifiers(instance="1.2.777." + "9" * 60), instance="1.2.777." + "9" * 60)
    with receiver(tmp_path) as node, association(node.port) as assoc:
        assert (send(assoc, good), send(assoc, bad)) == (0x0000, 0x0117)
    events = {entry["event"]: entry for entry in logged.entries}
    assert {"association_opened", "object_stored", "object_refused", "association_closed"} <= set(events)
    assert len(events["object_refused"]["uid_hash"]) == 12
    assert set().union(*logged.entries) <= ALLOWED_KEYS
    text = str(logged.entries)
    assert not any(secret in text for secret in ("DOE", "1.2.3.1", "1.2.3.0", "777"))
