"""Settling: I9 and I14, and what holds a series open."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from dicomqc.core.options import SeriesDeliver, SeriesOptions, SeriesRule
from dicomqc.core.series import decide
from dicomqc.core.verdict import Mode
from dicomqc.ledger import associations, deliveries, instances, leases, requeue, series, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from tests.support.facts import AT_ONCE, ineligible, received, scored
from tests.support.ledgers import count, decide_any, hours_later, judge_all, moves, observe_any, rows, series_state, settle_all

GOOD, BAD = scored(0.1), scored(0.9)
PATIENT = replace(AT_ONCE, quiet_seconds=30.0, max_open_seconds=600.0)
decide_all = partial(decide, rule=SeriesRule.ALL, deliver=SeriesDeliver.SATISFACTORY, mode=Mode.ENFORCE, revisions="hold")


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def add(ledger: Ledger, number: int, **changes) -> int:
    return instances.record(ledger, received(number, **changes), revision_note=None).instance.id


def asked(ledger: Ledger) -> list[tuple[int, str]]:
    return [(d.instance_id, d.destination) for d in rows(ledger, tables.deliveries)]


def test_i9_one_settling_writes_the_verdict_and_its_deliveries(ledger: Ledger) -> None:
    good, bad, none = (add(ledger, n) for n in (1, 2, 3))
    judge_all(ledger, [GOOD, BAD, ineligible()])
    (done,) = settle_all(ledger, destinations=["pacs", "research"])
    assert (done.number, done.deliveries, done.verdict.released) == (1, 2, (good,))
    (row,) = rows(ledger, tables.series_verdicts)
    assert (row.number, row.outcome, row.rule) == (1, "satisfactory", "any")
    assert (row.satisfactory, row.unsatisfactory, row.ineligible, row.quarantined) == (1, 1, 1, 0)
    assert asked(ledger) == [(good, "pacs"), (good, "research")]
    assert {d.series_verdict_id for d in rows(ledger, tables.deliveries)} == {row.id}
    assert {(d.state, d.attempts) for d in rows(ledger, tables.deliveries)} == {("pending", 0)}
    assert {bad, none}.isdisjoint(i for i, _ in asked(ledger))


def test_i9_a_settling_that_fails_leaves_nothing(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    (series_id,) = series.due(ledger, AT_ONCE)

    def fails(_members):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        series.settle(ledger, series_id, options=AT_ONCE, decide=fails, destinations=["pacs"])
    assert (count(ledger, tables.series_verdicts), count(ledger, tables.deliveries)) == (0, 0)
    assert series_state(ledger, series_id) == "open"


def test_i9_a_settled_series_does_not_settle_again(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    (done,) = settle_all(ledger)
    assert series.due(ledger, AT_ONCE) == []
    again = series.settle(ledger, done.series_id, options=AT_ONCE, decide=decide_any, destinations=["pacs"])
    assert again is None
    assert count(ledger, tables.series_verdicts) == 1


def test_i9_the_second_settling_has_its_own_number_and_adds_only_what_is_new(ledger: Ledger) -> None:
    first = add(ledger, 1)
    judge_all(ledger)
    settle_all(ledger, destinations=["pacs"])
    second = add(ledger, 2)
    judge_all(ledger)
    (done,) = settle_all(ledger, destinations=["pacs", "research"])
    assert (done.number, done.deliveries) == (2, 3)
    assert asked(ledger) == [(first, "pacs"), (second, "pacs"), (first, "research"), (second, "research")]
    assert [v.number for v in rows(ledger, tables.series_verdicts)] == [1, 2]


def test_i14_earlier_cines_that_the_new_verdict_releases_are_delivered_too(ledger: Ledger) -> None:
    everything = partial(decide_any.func, **{**decide_any.keywords, "deliver": SeriesDeliver.ALL})
    early = add(ledger, 1)
    judge_all(ledger, [BAD])
    (held,) = settle_all(ledger, decision=everything)
    assert held.deliveries == 0
    late = add(ledger, 2)
    judge_all(ledger, [GOOD])
    (done,) = settle_all(ledger, decision=everything)
    assert done.verdict.released == (early, late)
    assert asked(ledger) == [(early, "pacs"), (late, "pacs")]


def test_i14_a_flip_after_delivery_is_recorded_and_never_recalled(ledger: Ledger) -> None:
    first = add(ledger, 1)
    judge_all(ledger, [GOOD])
    settle_all(ledger, decision=decide_all)
    (sent,) = deliveries.claim(ledger, owner="s", destination="pacs", limit=9, lease_seconds=60)
    deliveries.accept(ledger, sent.token, status=0)
    add(ledger, 2)
    judge_all(ledger, [BAD])
    settle_all(ledger, decision=decide_all)
    assert [v.outcome for v in rows(ledger, tables.series_verdicts)] == ["satisfactory", "unsatisfactory"]
    assert [(d.instance_id, d.state) for d in rows(ledger, tables.deliveries)] == [(first, "delivered")]


def test_i3_a_second_revision_is_held_back_by_default(ledger: Ledger) -> None:
    first = add(ledger, 1)
    second = add(ledger, 1, content="other")
    judge_all(ledger)
    settle_all(ledger, decision=observe_any)
    assert asked(ledger) == [(first, "pacs")]
    assert second != first


def test_observe_delivers_a_quarantined_instance_too(ledger: Ledger) -> None:
    broken = add(ledger, 1)
    (held,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, held.token, reason="decoder_crashed")
    (done,) = settle_all(ledger, decision=observe_any)
    assert (done.verdict.outcome, done.verdict.quarantined) == ("ineligible", 1)
    assert asked(ledger) == [(broken, "pacs")]


def test_a_series_waits_until_every_instance_is_at_rest(ledger: Ledger) -> None:
    add(ledger, 1)
    add(ledger, 2)
    assert series.due(ledger, AT_ONCE) == []
    held = leases.claim(ledger, owner="w", limit=2, lease_seconds=60)
    assert series.due(ledger, AT_ONCE) == []
    leases.quarantine(ledger, held[0].token, reason="decoder_crashed")
    assert series.due(ledger, AT_ONCE) == []
    leases.release(ledger, [held[1].token])
    judge_all(ledger)
    assert len(series.due(ledger, AT_ONCE)) == 1


def test_a_series_waits_for_quiet(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    assert series.due(ledger, PATIENT) == []
    hours_later(ledger, tables.series, "last_received_at", hours=40 / 3600)
    assert len(series.due(ledger, PATIENT)) == 1
    add(ledger, 2)
    judge_all(ledger)
    assert series.due(ledger, PATIENT) == []


def test_settle_looks_again_and_finds_what_arrived_since_due(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    (series_id,) = series.due(ledger, AT_ONCE)
    add(ledger, 2)
    assert series.settle(ledger, series_id, options=AT_ONCE, decide=decide_any, destinations=["pacs"]) is None
    assert count(ledger, tables.series_verdicts) == 0


def test_due_names_the_longest_quiet_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for n in range(4):
        add(ledger, n, series=n)
        judge_all(ledger)
    with ledger.write() as conn:
        s = tables.series
        conn.execute(sa.update(s).where(s.c.id == 3).values(last_received_at=ledger.now(conn).replace(year=2020)))
    assert series.due(ledger, AT_ONCE, limit=2) == [3, 1]


class TestAssociations:
    """What an association holds: the middle of a transfer for as long as it lives, a mere presence not for ever."""

    @pytest.fixture
    def association(self, ledger: Ledger) -> int:
        opened = associations.open_association(
            ledger, calling_ae="CATHLAB", called_ae="DICOMQC", peer="127.0.0.1", lease_seconds=60
        )
        add(ledger, 1, association_id=opened)
        judge_all(ledger)
        hours_later(ledger, tables.series, "last_received_at", hours=60 / 3600)
        return opened

    def test_a_transfer_under_way_holds_its_series(self, ledger: Ledger, association: int) -> None:
        associations.renew_associations(ledger, {association: True}, lease_seconds=60)
        hours_later(ledger, tables.series, "last_received_at", hours=100)
        assert series.due(ledger, PATIENT) == []
        associations.renew_associations(ledger, {association: False}, lease_seconds=60)
        assert len(series.due(ledger, PATIENT)) == 1

    def test_one_merely_open_holds_no_longer_than_max_open(self, ledger: Ledger, association: int) -> None:
        assert series.due(ledger, PATIENT) == []
        hours_later(ledger, tables.series, "last_received_at", hours=600 / 3600)
        assert len(series.due(ledger, PATIENT)) == 1

    def test_a_closed_one_holds_nothing(self, ledger: Ledger, association: int) -> None:
        associations.renew_associations(ledger, {association: True}, lease_seconds=60)
        associations.close_association(ledger, association)
        assert len(series.due(ledger, PATIENT)) == 1

    def test_a_dead_receivers_holds_nothing_once_its_lease_ends(self, ledger: Ledger, association: int) -> None:
        associations.renew_associations(ledger, {association: True}, lease_seconds=60)
        hours_later(ledger, tables.associations, "lease_expires_at")
        assert len(series.due(ledger, PATIENT)) == 1

    def test_it_does_not_hold_another_associations_series(self, ledger: Ledger, association: int) -> None:
        associations.renew_associations(ledger, {association: True}, lease_seconds=60)
        add(ledger, 2, series=2)
        judge_all(ledger)
        hours_later(ledger, tables.series, "last_received_at", hours=60 / 3600)
        (series_id,) = series.due(ledger, PATIENT)
        assert series_id != instances_series(ledger, 1)


def instances_series(ledger: Ledger, instance_id: int) -> int:
    with ledger.read() as conn:
        t = tables.instances
        found: int = conn.execute(sa.select(t.c.series_id).where(t.c.id == instance_id)).scalar_one()
        return found


def in_thread(ledger: Ledger, work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start `work` while the caller holds a transaction, and come back once it waits for the lock."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    deadline = time.monotonic() + 10
    while not results and not _waits(ledger) and time.monotonic() < deadline:
        time.sleep(0.01)
    return thread, results


def _waits(ledger: Ledger) -> bool:
    if ledger.engine.dialect.name == "sqlite":
        return True  # BEGIN IMMEDIATE waits wherever it is
    with ledger.read() as conn:
        return bool(conn.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())


def settle_now(ledger: Ledger, options: SeriesOptions = AT_ONCE):
    return series.settle(ledger, 1, options=options, decide=decide_any, destinations=["pacs"])


def test_i14_an_instance_that_commits_while_a_settling_waits_keeps_the_series_open(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    with ledger.write() as conn:
        instances._record(conn, received(2), None, ledger.now(conn))
        thread, results = in_thread(ledger, lambda: settle_now(ledger))
    thread.join(30)
    assert results == [None]
    assert series_state(ledger, 1) == "open"
    judge_all(ledger)
    assert settle_now(ledger).deliveries == 2


def test_i14_an_instance_that_waits_for_a_settling_reopens_the_series(ledger: Ledger) -> None:
    add(ledger, 1)
    judge_all(ledger)
    waiting: list[threading.Thread] = []

    def slow(members):
        waiting.append(in_thread(ledger, lambda: add(ledger, 2))[0])
        return decide_any(members)

    assert series.settle(ledger, 1, options=AT_ONCE, decide=slow, destinations=["pacs"]) is not None
    waiting[0].join(30)
    assert series_state(ledger, 1) == "open"
    assert moves(ledger, "series", 1) == ["open", "settle", "reopen"]


def test_a_requeue_that_commits_while_a_settling_waits_keeps_the_series_open(ledger: Ledger) -> None:
    add(ledger, 1)
    (held,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, held.token, reason="decoder_crashed")
    waiting: list[threading.Thread] = []

    def slow(members):
        waiting.append(in_thread(ledger, lambda: requeue.requeue_instances(ledger, None))[0])
        return decide_any(members)

    assert series.settle(ledger, 1, options=AT_ONCE, decide=slow, destinations=["pacs"]) is not None
    waiting[0].join(30)
    assert series_state(ledger, 1) == "open"
    assert rows(ledger, tables.instances)[0].state == "received"


def test_i9_two_settlers_at_once_write_one_verdict(ledger: Ledger) -> None:
    for n in range(5):
        add(ledger, n)
    judge_all(ledger)
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(settle_now(ledger))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(r is None for r in results) == [False, True, True, True]
    assert (count(ledger, tables.series_verdicts), count(ledger, tables.deliveries)) == (1, 5)
