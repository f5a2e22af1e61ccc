"""Peers that refuse, hang, abort or stay away, and what the forwarder makes of it (I5, I10, section 6 of the architecture)."""

import threading
import time
from collections.abc import Callable

import pytest
from pynetdicom.events import Event

from dicomqc.ledger import deliveries
from dicomqc.ledger.engine import open_ledger
from tests.support.facts import EXPLICIT_LE, XA
from tests.support.outbound import Outbox, forwarding, options, small_object, to
from tests.support.peers import Downstream, downstream, free_port, silent_port, stalling_peer
from tests.support.waiting import until

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


@pytest.fixture
def outbox(tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger:
        yield Outbox(ledger, tmp_path / "spool")


def filled(outbox: Outbox, count: int = 3, **settings: object) -> list[str]:
    uids = [outbox.add(small_object(**settings)[0]).sop_instance_uid for _ in range(count)]  # type: ignore[arg-type]
    outbox.judge()
    return uids


def reasons(outbox: Outbox) -> set[str | None]:
    return {row.reason for row in outbox.deliveries()}


def test_one_series_goes_out_on_one_association(outbox: Outbox) -> None:
    uids = filled(outbox, 5)
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"] * 5)
        assert (list(peer.objects), peer.associations) == (uids, 1)
    assert {(row.status, row.attempts) for row in outbox.deliveries()} == {(0, 1)}


@pytest.mark.parametrize("status", [0xB000, 0xB007, 0x0111])
def test_i10_warnings_and_duplicates_count_as_delivered_and_keep_their_status(outbox: Outbox, status: int) -> None:
    filled(outbox, 1)
    with downstream() as peer:
        peer.answer = lambda _event: status
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: outbox.states() == ["delivered"])
    assert outbox.deliveries()[0].status == status


@pytest.mark.parametrize("status", [0xA700, 0x0110])
def test_a_status_that_may_pass_is_tried_until_it_does(outbox: Outbox, status: int) -> None:
    filled(outbox, 2)
    with downstream() as peer:
        peer.answer = lambda _event: status if peer.messages < 8 else 0x0000
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: outbox.states() == ["delivered"] * 2)
    assert all(row.attempts > 1 for row in outbox.deliveries())


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_a_status_that_will_not_pass_is_undeliverable_after_three_attempts(outbox: Outbox, status: int) -> None:
    filled(outbox, 1)
    with downstream() as peer:
        peer.answer = lambda _event: status
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: outbox.states() == ["undeliverable"])
    (row,) = outbox.deliveries()
    assert (row.reason, row.status, row.attempts) == ("peer_status", status, 3)


def test_a_refused_syntax_is_undeliverable_and_holds_nothing_else_up(outbox: Outbox) -> None:
    filled(outbox, 1, transfer_syntax=JPEG_LOSSLESS)
    filled(outbox, 1)
    with downstream(contexts={XA: [EXPLICIT_LE]}) as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["undeliverable", "delivered"])
    assert outbox.deliveries()[0].reason == "no_accepted_context"


def test_everything_arrives_once_an_absent_peer_is_back(outbox: Outbox) -> None:
    uids = filled(outbox, 4)
    port = free_port()
    with forwarding(outbox, options(to(port))):
        until(lambda: "unreachable" in reasons(outbox))
        with downstream(port=port) as peer:
            until(lambda: outbox.states() == ["delivered"] * 4)
            assert set(peer.objects) == set(uids)


def test_an_absent_peer_does_not_burn_the_attempts_of_all(outbox: Outbox) -> None:
    filled(outbox, 30)
    with forwarding(outbox, options(to(free_port()))):
        until(lambda: sum(row.attempts for row in outbox.deliveries()) >= 3)
    assert sum(row.attempts for row in outbox.deliveries()) < 10
    assert set(outbox.states()) == {"pending"}


def test_everything_arrives_once_a_rejecting_peer_relents(outbox: Outbox) -> None:
    uids = filled(outbox, 3)
    port = free_port()
    with forwarding(outbox, options(to(port))):
        with downstream(port=port, ae_title="SOMEONE_ELSE") as stranger:
            until(lambda: "association_rejected_permanent" in reasons(outbox))
            assert stranger.objects == {}
        with downstream(port=port) as peer:
            until(lambda: outbox.states() == ["delivered"] * 3)
            assert set(peer.objects) == set(uids)


def test_a_full_peer_is_asked_again(outbox: Outbox) -> None:
    filled(outbox, 1)
    with downstream() as peer:
        peer.limit(0)
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: "association_rejected_transient" in reasons(outbox))
            peer.limit(20)
            until(lambda: outbox.states() == ["delivered"])


def test_everything_arrives_once_an_aborting_peer_behaves(outbox: Outbox) -> None:
    uids = filled(outbox, 4)
    with downstream() as peer:
        peer.answer = _abort_first(peer, 5)
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: outbox.states() == ["delivered"] * 4)
        assert set(peer.objects) == set(uids)


def _abort_first(peer: Downstream, count: int) -> Callable[[Event], int]:
    def answer(event: Event) -> int:
        if peer.messages <= count:
            event.assoc.abort()
        return 0x0000

    return answer


def test_everything_arrives_once_a_hanging_peer_answers(outbox: Outbox) -> None:
    uids = filled(outbox, 2)
    awake = threading.Event()
    with downstream() as peer:
        peer.answer = lambda _event: 0x0000 if awake.wait(30) else 0x0110
        with forwarding(outbox, options(to(peer.port), timeout_seconds=0.3)):
            until(lambda: "timed_out" in reasons(outbox))
            awake.set()
            until(lambda: outbox.states() == ["delivered"] * 2)
        assert set(peer.objects) == set(uids)


def test_a_hanging_destination_holds_no_other_up(outbox: Outbox) -> None:
    filled(outbox, 3)
    with downstream() as peer, silent_port() as mute:
        chosen = options(to(mute, "mute"), to(peer.port, "good"), timeout_seconds=1.0)
        with forwarding(outbox, chosen):
            started = time.monotonic()
            until(lambda: outbox.states("good") == ["delivered"] * 3)
            assert time.monotonic() - started < 5
            until(lambda: "timed_out" in {row.reason for row in outbox.deliveries("mute")})


def test_a_peer_that_stops_reading_in_the_middle_is_left(outbox: Outbox) -> None:
    outbox.add(small_object(size=30_000_000)[0])
    outbox.judge()
    with stalling_peer() as port, forwarding(outbox, options(to(port), timeout_seconds=0.5)):
        until(lambda: reasons(outbox) == {"timed_out"})
    assert outbox.states() == ["pending"]


def test_a_stop_gives_back_what_was_not_begun(outbox: Outbox) -> None:
    filled(outbox, 6)
    go_on = threading.Event()
    with downstream() as peer:
        peer.answer = lambda _event: 0x0000 if peer.messages < 3 or go_on.wait(20) else 0x0110
        with forwarding(outbox, options(to(peer.port), timeout_seconds=20)) as stop:
            until(lambda: peer.messages == 3)
            stop.set()
            go_on.set()
    assert outbox.states() == ["delivered"] * 3 + ["pending"] * 3
    assert [row.attempts for row in outbox.deliveries()] == [1, 1, 1, 0, 0, 0]


def test_i10_a_stop_during_a_hang_gives_the_attempt_back_in_time(outbox: Outbox) -> None:
    filled(outbox, 1)
    never = threading.Event()
    with downstream() as peer:
        peer.answer = lambda _event: 0x0000 if never.wait(25) else 0x0110
        with forwarding(outbox, options(to(peer.port), timeout_seconds=60)):
            until(lambda: peer.messages == 1)
        never.set()
    assert [(row.state, row.attempts) for row in outbox.deliveries()] == [("pending", 0)]


def test_i5_a_lost_lease_cannot_end_a_delivery(outbox: Outbox) -> None:
    filled(outbox, 1)
    with downstream() as peer:

        def answer(_event: Event) -> int:
            if peer.messages == 1:
                with outbox.ledger.write() as conn:
                    conn.exec_driver_sql("UPDATE deliveries SET lease_token = 'somebody-else'")
            return 0x0000

        peer.answer = answer
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: peer.messages == 1)
    assert outbox.states() == ["sending"]


def test_i10_a_dead_senders_delivery_goes_out_again(outbox: Outbox) -> None:
    (uid,) = filled(outbox, 1)
    with downstream() as peer:
        with forwarding(outbox, options(to(free_port()))):
            until(lambda: outbox.states() != [])
        with outbox.ledger.write() as conn:
            conn.exec_driver_sql("UPDATE deliveries SET next_attempt_at = asked_at")
        assert deliveries.claim(outbox.ledger, owner="dead", destination="pacs", limit=1, lease_seconds=0.01)
        with forwarding(outbox, options(to(peer.port))):
            until(lambda: outbox.states() == ["delivered"])
        assert list(peer.objects) == [uid]


def test_deliveries_to_a_destination_no_longer_configured_end_with_that_reason(outbox: Outbox) -> None:
    filled(outbox, 2)
    with forwarding(outbox, options(to(free_port(), "old"))):
        until(lambda: len(outbox.states()) == 2)
    with forwarding(outbox, options()):
        until(lambda: outbox.states() == ["undeliverable"] * 2)
    assert reasons(outbox) == {"unknown_destination"}
