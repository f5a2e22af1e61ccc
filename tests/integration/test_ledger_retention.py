"""What may leave the disk (I11), and what a resend brings back (I3)."""

from collections.abc import Iterator

import pytest

from dicomqc.core.intake import Intake
from dicomqc.ledger import deliveries, instances, leases, retention, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from tests.support.facts import ineligible, received, scored
from tests.support.ledgers import count, hours_later, judge_all, rows, settle_all


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def add(ledger: Ledger, number: int, *, series: int = 1) -> int:
    return instances.record(ledger, received(number, series=series), revision_note=None).instance.id


def send(ledger: Ledger, destination: str = "pacs") -> None:
    for held in deliveries.claim(ledger, owner="s", destination=destination, limit=99, lease_seconds=60):
        deliveries.accept(ledger, held.token, status=0)


def old(ledger: Ledger, *, days: float = 2) -> None:
    hours_later(ledger, tables.instances, "received_at", hours=24 * days)


def purgeable(ledger: Ledger, days: float = 1, **paging: int) -> list[int]:
    return [i.id for i in retention.purgeable(ledger, retention_days=days, **{"limit": 100, **paging})]


def state_of(ledger: Ledger, instance_id: int) -> str:
    found = instances.get(ledger, instance_id)
    assert found is not None
    return found.state


def test_i11_delivered_and_old_goes(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger)
    settle_all(ledger)
    send(ledger)
    assert purgeable(ledger) == []
    old(ledger)
    assert (purgeable(ledger, days=3), purgeable(ledger)) == ([], [instance_id])


def test_i11_what_was_never_asked_for_goes_too(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger, [scored(0.9)])
    settle_all(ledger)
    old(ledger)
    assert purgeable(ledger) == [instance_id]


def test_i11_one_undelivered_destination_keeps_the_bytes(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger)
    settle_all(ledger, destinations=["pacs", "research"])
    old(ledger)
    send(ledger, "pacs")
    assert (purgeable(ledger), retention.mark_purged(ledger, [instance_id])) == ([], [])
    (held,) = deliveries.claim(ledger, owner="s", destination="research", limit=1, lease_seconds=60)
    assert (purgeable(ledger), retention.mark_purged(ledger, [instance_id])) == ([], [])
    deliveries.accept(ledger, held.token, status=0)
    assert purgeable(ledger) == [instance_id]


def test_i11_undeliverable_bytes_go_only_by_an_explicit_purge(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger)
    settle_all(ledger)
    old(ledger)
    (held,) = deliveries.claim(ledger, owner="s", destination="pacs", limit=1, lease_seconds=60)
    deliveries.give_up(ledger, held.token, reason="peer_status", status=0xA900)
    assert purgeable(ledger) == []
    assert retention.may_purge(ledger, [instance_id]) == [instance_id]
    assert retention.mark_purged(ledger, [instance_id]) == [instance_id]


def test_i11_quarantined_bytes_go_only_by_an_explicit_purge(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    (held,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, held.token, reason="decoder_crashed")
    settle_all(ledger)
    old(ledger)
    assert purgeable(ledger) == []
    assert retention.mark_purged(ledger, [instance_id]) == [instance_id]


@pytest.mark.parametrize("state", ["received", "scoring", "judged_but_open"])
def test_i11_nothing_goes_before_its_series_has_settled(ledger: Ledger, state: str) -> None:
    instance_id = add(ledger, 1)
    if state == "scoring":
        leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    elif state == "judged_but_open":
        judge_all(ledger)
    old(ledger)
    assert purgeable(ledger) == []
    assert retention.may_purge(ledger, [instance_id]) == []
    assert retention.mark_purged(ledger, [instance_id]) == []


def test_i11_facts_stay(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger)
    settle_all(ledger)
    send(ledger)
    before = {t.name: count(ledger, t) for t in tables.metadata.sorted_tables}
    assert retention.mark_purged(ledger, [instance_id]) == [instance_id]
    after = {t.name: count(ledger, t) for t in tables.metadata.sorted_tables}
    assert after == {**before, "events": before["events"] + 1}
    row = rows(ledger, tables.instances)[0]
    assert row.state == "purged"
    assert row.purged_at is not None
    assert retention.mark_purged(ledger, [instance_id]) == []


def test_pages_by_key(ledger: Ledger) -> None:
    ids = [add(ledger, n, series=n) for n in range(5)]
    judge_all(ledger)
    settle_all(ledger, destinations=[])
    old(ledger)
    assert purgeable(ledger, limit=2) == ids[:2]
    assert purgeable(ledger, limit=2, after=ids[1]) == ids[2:4]


def test_i3_a_resend_after_purge_keeps_the_verdict_and_its_reason(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    judge_all(ledger, [ineligible()])
    settle_all(ledger)
    retention.mark_purged(ledger, [instance_id])
    again = instances.record(ledger, received(1), revision_note=None)
    assert (again.intake, again.instance.id, again.instance.state) == (Intake.RESENT, instance_id, "judged")
    assert again.instance.reason == "too_short"
    assert rows(ledger, tables.instances)[0].purged_at is None
    (done,) = settle_all(ledger)
    assert done.number == 2


def test_i3_a_resend_of_what_was_never_judged_is_scored(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    (held,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, held.token, reason="decoder_crashed")
    settle_all(ledger)
    retention.mark_purged(ledger, [instance_id])
    assert instances.record(ledger, received(1), revision_note=None).instance.state == "received"
    assert judge_all(ledger) == 1
    assert state_of(ledger, instance_id) == "judged"
