"""Deliveries as leases: I5, I10, and putting back what was given up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomqc.core.delivery import ClaimedDelivery
from dicomqc.core.errors import LeaseLost
from dicomqc.ledger import deliveries, instances, requeue, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from tests.support.facts import received
from tests.support.ledgers import expire_leases, hours_later, judge_all, moves, rows, series_state, settle_all


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def fill(ledger: Ledger, *series: int, destinations=("pacs",)) -> None:
    """One satisfactory, settled instance for each number of a series."""
    for number, of in enumerate(series, 1):
        instances.record(ledger, received(number, series=of), revision_note=None)
    judge_all(ledger)
    settle_all(ledger, destinations=destinations)


def claim(ledger: Ledger, destination: str = "pacs", *, limit: int = 100, lease_seconds: float = 60) -> list[ClaimedDelivery]:
    return deliveries.claim(ledger, owner="sender", destination=destination, limit=limit, lease_seconds=lease_seconds)


def states(ledger: Ledger) -> list[str]:
    return [d.state for d in rows(ledger, tables.deliveries)]


def test_a_claim_is_of_one_series_and_one_destination(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 1, 2, destinations=("pacs", "research"))
    batches = [claim(ledger, "pacs") for _ in range(3)]
    assert [{c.instance.series_instance_uid for c in b} for b in batches] == [{"1.2.8.1"}, {"1.2.8.2"}, set()]
    assert [[c.instance.sop_instance_uid for c in b] for b in batches] == [["1.2.3.1", "1.2.3.3"], ["1.2.3.2", "1.2.3.4"], []]
    assert {c.destination for b in batches for c in b} == {"pacs"}
    assert len(claim(ledger, "research")) == 2


def test_a_claim_carries_the_instance_as_it_was_received(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger)
    assert held.instance == instances.get(ledger, held.instance.id)
    assert (held.attempts, held.id, held.destination) == (1, rows(ledger, tables.deliveries)[0].id, "pacs")
    assert 0 <= held.seconds_since_asked < 60


def test_a_claim_is_limited(ledger: Ledger) -> None:
    fill(ledger, *[1] * 5)
    assert [len(claim(ledger, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_an_object_that_broke_the_association_stands_behind_the_others(ledger: Ledger) -> None:
    fill(ledger, 1, 1, 1)
    poison, *others = claim(ledger)
    deliveries.put_back(ledger, poison.token, delay_seconds=0, reason="association_aborted", status=None)
    deliveries.release(ledger, [d.token for d in others])
    assert [d.id for d in claim(ledger)] == [*(d.id for d in others), poison.id]


def test_i5_racing_senders_never_share_a_delivery(ledger: Ledger) -> None:
    fill(ledger, *[n % 3 for n in range(24)])
    with ThreadPoolExecutor(6) as pool:
        taken = [c.id for batch in pool.map(lambda _: claim(ledger, limit=4), range(12)) for c in batch]
    taken += [c.id for _ in range(12) for c in claim(ledger, limit=4)]
    assert sorted(taken) == [d.id for d in rows(ledger, tables.deliveries)]


def test_i10_delivered_only_with_the_peers_own_status(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger)
    deliveries.accept(ledger, held.token, status=0xB007)
    (row,) = rows(ledger, tables.deliveries)
    assert (row.state, row.status, row.lease_token) == ("delivered", 0xB007, None)
    assert row.delivered_at is not None
    assert claim(ledger) == []


def test_i10_a_crash_between_response_and_commit_sends_again(ledger: Ledger) -> None:
    fill(ledger, 1)
    (lost,) = claim(ledger)
    expire_leases(ledger, tables.deliveries)
    assert deliveries.expire(ledger) == 1
    (again,) = claim(ledger)
    assert (again.id, again.attempts) == (lost.id, 2)
    assert again.token != lost.token
    with pytest.raises(LeaseLost):
        deliveries.accept(ledger, lost.token, status=0)
    assert states(ledger) == ["sending"]
    deliveries.accept(ledger, again.token, status=0)
    assert states(ledger) == ["delivered"]


def test_i5_every_end_needs_the_token(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger)
    deliveries.accept(ledger, held.token, status=0)
    with pytest.raises(LeaseLost):
        deliveries.put_back(ledger, held.token, delay_seconds=0, reason="aborted", status=None)
    with pytest.raises(LeaseLost):
        deliveries.give_up(ledger, held.token, reason="peer_status", status=0xA900)
    deliveries.release(ledger, [held.token])
    assert deliveries.renew(ledger, [held.token], lease_seconds=60) == set()
    assert states(ledger) == ["delivered"]


def test_i5_a_lease_is_renewed_while_bytes_flow(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger, lease_seconds=0)
    assert deliveries.renew(ledger, [held.token, "nobody's"], lease_seconds=60) == {held.token}
    assert deliveries.expire(ledger) == 0


def test_release_gives_the_attempt_back(ledger: Ledger) -> None:
    fill(ledger, 1)
    deliveries.release(ledger, [c.token for c in claim(ledger)])
    assert [c.attempts for c in claim(ledger)] == [1]


def test_what_was_put_back_waits_and_keeps_status_and_reason(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger)
    deliveries.put_back(ledger, held.token, delay_seconds=3600, reason="peer_status", status=0xA700)
    assert claim(ledger) == []
    (row,) = rows(ledger, tables.deliveries)
    assert (row.state, row.reason, row.status) == ("pending", "peer_status", 0xA700)
    waits = deliveries.next_due_seconds(ledger)
    assert waits is not None
    assert 3500 < waits <= 3600
    hours_later(ledger, tables.deliveries, "next_attempt_at", hours=2)
    assert deliveries.next_due_seconds(ledger) == 0
    assert [c.attempts for c in claim(ledger)] == [2]
    assert deliveries.next_due_seconds(ledger) is None


def test_a_destination_that_fails_does_not_hold_the_other(ledger: Ledger) -> None:
    fill(ledger, 1, destinations=("pacs", "research"))
    (held,) = claim(ledger, "pacs")
    deliveries.put_back(ledger, held.token, delay_seconds=3600, reason="unreachable", status=None)
    assert len(claim(ledger, "research")) == 1


def test_given_up_is_tried_again_only_by_a_persons_word(ledger: Ledger) -> None:
    fill(ledger, 1, destinations=("pacs", "research"))
    for destination in ("pacs", "research"):
        (held,) = claim(ledger, destination)
        deliveries.give_up(ledger, held.token, reason="peer_status", status=0xA900)
    assert states(ledger) == ["undeliverable", "undeliverable"]
    assert (deliveries.expire(ledger), claim(ledger), deliveries.next_due_seconds(ledger)) == (0, [], None)
    hours_later(ledger, tables.deliveries, "asked_at", hours=100)
    assert requeue.requeue_deliveries(ledger, None, destination="pacs") == 1
    (again,) = claim(ledger, "pacs")
    assert again.attempts == 1
    assert again.seconds_since_asked < 60
    assert requeue.requeue_deliveries(ledger, [999], destination=None) == 0
    assert requeue.requeue_deliveries(ledger, [again.instance.id], destination=None) == 1
    assert states(ledger) == ["sending", "pending"]


def test_a_destination_no_longer_configured_ends_its_deliveries(ledger: Ledger) -> None:
    fill(ledger, 1, 1, destinations=("pacs", "gone"))
    assert deliveries.give_up_unknown(ledger, {"pacs"}) == 2
    found = [(d.destination, d.state, d.reason) for d in rows(ledger, tables.deliveries)]
    assert found == [("pacs", "pending", None)] * 2 + [("gone", "undeliverable", "unknown_destination")] * 2
    gone = rows(ledger, tables.deliveries)[2].id
    assert moves(ledger, "delivery", gone) == ["ask", "claim", "give_up"]
    assert deliveries.give_up_unknown(ledger, ["pacs"]) == 0


def test_i5_a_delivery_in_another_senders_hands_is_not_ended_as_unknown(ledger: Ledger) -> None:
    fill(ledger, 1, destinations=("theirs",))
    (held,) = claim(ledger, "theirs")
    assert deliveries.give_up_unknown(ledger, ["pacs"]) == 0
    deliveries.accept(ledger, held.token, status=0)
    assert states(ledger) == ["delivered"]


def test_i4_an_instance_whose_bytes_changed_is_set_aside(ledger: Ledger) -> None:
    fill(ledger, 1)
    (held,) = claim(ledger)
    deliveries.quarantine_instance(ledger, held.instance.id, reason="digest_mismatch")
    deliveries.give_up(ledger, held.token, reason="digest_mismatch", status=None)
    row = instances.get(ledger, held.instance.id)
    assert row is not None
    assert (row.state, row.reason) == ("quarantined", "digest_mismatch")
    assert states(ledger) == ["undeliverable"]


def test_requeue_scores_alone_and_reopens_the_series(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    for row in rows(ledger, tables.instances):
        deliveries.quarantine_instance(ledger, row.id, reason="file_missing")
    assert requeue.requeue_instances(ledger, [1]) == 1
    assert (series_state(ledger, 1), series_state(ledger, 2)) == ("open", "settled")
    assert requeue.requeue_instances(ledger, None) == 1
    assert series_state(ledger, 2) == "open"
    assert {(r.state, r.attempts, r.suspect, r.reason) for r in rows(ledger, tables.instances)} == {("received", 0, True, None)}
    assert requeue.requeue_instances(ledger, None) == 0
