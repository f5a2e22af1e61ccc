"""Scoring leases and verdicts: I5, I6, I7, I8, I12 on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from dicomqc.core.cine import Refusal
from dicomqc.core.errors import LeaseLost
from dicomqc.core.instance import ClaimedInstance, StoredInstance
from dicomqc.core.lifecycle import InstanceState, Move
from dicomqc.ledger import deliveries, instances, leases, requeue, tables, verdicts
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.ledger.events import INSTANCE, transition
from tests.support.facts import PROVENANCE, ineligible, received, scored
from tests.support.ledgers import count, expire_leases, hours_later, moves, rows


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def add(ledger: Ledger, number: int) -> int:
    return instances.record(ledger, received(number), revision_note=None).instance.id


def claim(ledger: Ledger, limit: int = 8, *, owner: str = "worker", lease_seconds: float = 60) -> list[ClaimedInstance]:
    return leases.claim(ledger, owner=owner, limit=limit, lease_seconds=lease_seconds)


def now_of(ledger: Ledger, instance_id: int) -> StoredInstance:
    found = instances.get(ledger, instance_id)
    assert found is not None
    return found


def test_i5_expired_lease_cannot_judge(ledger: Ledger) -> None:
    add(ledger, 1)
    (lost,) = claim(ledger)
    expire_leases(ledger)
    assert leases.expire(ledger, max_attempts=3) == 1
    with pytest.raises(LeaseLost):
        verdicts.judge(ledger, lost.token, scored())
    assert count(ledger, tables.verdicts) == 0


def test_i5_a_token_of_an_earlier_claim_ends_nothing(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    (lost,) = claim(ledger)
    expire_leases(ledger)
    leases.expire(ledger, max_attempts=3)
    (held,) = claim(ledger, owner="other")
    assert held.token != lost.token
    with pytest.raises(LeaseLost):
        verdicts.judge(ledger, lost.token, scored())
    with pytest.raises(LeaseLost):
        leases.put_back(ledger, lost.token, delay_seconds=0, reason="scorer_failed", alone_next=False)
    with pytest.raises(LeaseLost):
        leases.quarantine(ledger, lost.token, reason="decoder_crashed")
    leases.release(ledger, [lost.token])
    assert leases.renew(ledger, [lost.token, held.token], lease_seconds=60) == {held.token}
    assert now_of(ledger, instance_id).state is InstanceState.SCORING
    verdicts.judge(ledger, held.token, scored())
    assert now_of(ledger, instance_id).state is InstanceState.JUDGED


def test_i5_a_renewed_lease_does_not_expire(ledger: Ledger) -> None:
    add(ledger, 1)
    (held,) = claim(ledger, lease_seconds=0)
    assert leases.renew(ledger, [held.token], lease_seconds=60) == {held.token}
    assert leases.expire(ledger, max_attempts=3) == 0
    verdicts.judge(ledger, held.token, scored())


def test_i5_a_lease_ends_once(ledger: Ledger) -> None:
    add(ledger, 1)
    (held,) = claim(ledger)
    verdicts.judge(ledger, held.token, scored())
    with pytest.raises(LeaseLost):
        verdicts.judge(ledger, held.token, scored(0.9))
    assert leases.renew(ledger, [held.token], lease_seconds=60) == set()
    assert count(ledger, tables.verdicts) == 1


def test_i5_racing_claimers_never_share_a_row(ledger: Ledger) -> None:
    ids = [add(ledger, n) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        taken = [c for batch in pool.map(lambda n: claim(ledger, 5, owner=f"w{n}"), range(8)) for c in batch]
    assert sorted(c.instance.id for c in taken) == ids
    assert len({c.token for c in taken}) == 40


def test_i12_a_lease_runs_by_the_databases_clock(ledger: Ledger) -> None:
    add(ledger, 1)
    claim(ledger, lease_seconds=100)
    with ledger.read() as conn:
        expires = conn.execute(sa.select(tables.instances.c.lease_expires_at)).scalar_one()
        assert 95 < (expires - ledger.now(conn)).total_seconds() <= 100
    assert leases.expire(ledger, max_attempts=3) == 0


def test_oldest_first(ledger: Ledger) -> None:
    ids = [add(ledger, n) for n in (3, 1, 2)]
    assert [c.instance.id for c in claim(ledger, 2)] == ids[:2]
    assert [c.instance.id for c in claim(ledger, 2)] == ids[2:]
    assert claim(ledger) == []


def test_i6_attempts_count_at_claim(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    (held,) = claim(ledger)
    assert (held.attempts, now_of(ledger, instance_id).attempts) == (1, 1)


def test_i6_release_gives_the_attempt_back_and_the_row_is_ready(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    leases.release(ledger, [c.token for c in claim(ledger)])
    assert (now_of(ledger, instance_id).state, now_of(ledger, instance_id).attempts) == (InstanceState.RECEIVED, 0)
    (again,) = claim(ledger)
    assert again.attempts == 1


def test_i6_what_expired_is_next_claimed_alone(ledger: Ledger) -> None:
    ids = [add(ledger, n) for n in range(3)]
    claim(ledger, 2)
    expire_leases(ledger)
    assert leases.expire(ledger, max_attempts=3) == 2
    batches = [claim(ledger, 8) for _ in range(4)]
    assert [[c.instance.id for c in b] for b in batches] == [[ids[0]], [ids[1]], [ids[2]], []]
    assert [c.alone for b in batches for c in b] == [True, True, False]


def test_i6_a_suspect_held_back_by_its_delay_joins_no_batch(ledger: Ledger) -> None:
    ids = [add(ledger, n) for n in range(3)]
    (first,) = claim(ledger, 1)
    leases.put_back(ledger, first.token, delay_seconds=3600, reason="decoder_timed_out", alone_next=True)
    assert [c.instance.id for c in claim(ledger, 8)] == ids[1:]
    hours_later(ledger, tables.instances, "next_attempt_at", hours=2)
    (again,) = claim(ledger, 8)
    assert (again.instance.id, again.alone, again.attempts) == (ids[0], True, 2)


def test_i6_batch_mates_of_a_killer_are_never_quarantined(ledger: Ledger) -> None:
    for n in range(4):
        add(ledger, n)
    for _ in range(5):
        with ledger.write() as conn:
            conn.execute(sa.update(tables.instances).values(suspect=False))
        assert len(claim(ledger, 8)) == 4
        expire_leases(ledger)
        assert leases.expire(ledger, max_attempts=3) == 4
    assert {r.state for r in rows(ledger, tables.instances)} == {"received"}


def test_i6_a_lone_killer_is_quarantined_when_its_attempts_are_used(ledger: Ledger) -> None:
    killer = add(ledger, 1)
    for expected in ("received", "quarantined"):
        claim(ledger, 8)
        expire_leases(ledger)
        leases.expire(ledger, max_attempts=2)
        assert now_of(ledger, killer).state == expected
        assert leases.expire(ledger, max_attempts=2) == 0
    assert now_of(ledger, killer).reason == "worker_crashed"
    assert moves(ledger, "instance", killer) == ["receive", "claim", "expire", "claim", "give_up"]


def test_i6_a_failed_instance_waits_and_says_why(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    (held,) = claim(ledger)
    leases.put_back(ledger, held.token, delay_seconds=3600, reason="scorer_failed", alone_next=False)
    assert claim(ledger) == []
    assert (now_of(ledger, instance_id).state, now_of(ledger, instance_id).reason) == (InstanceState.RECEIVED, "scorer_failed")
    hours_later(ledger, tables.instances, "next_attempt_at", hours=2)
    (again,) = claim(ledger)
    assert (again.attempts, again.alone) == (2, False)
    verdicts.judge(ledger, again.token, scored())
    assert now_of(ledger, instance_id).reason is None


def test_i7_a_requeued_instance_keeps_the_verdict_of_the_same_model(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    verdicts.judge(ledger, claim(ledger)[0].token, ineligible(Refusal.TOO_SHORT))
    _set_aside(ledger, instance_id)
    requeue.requeue_instances(ledger, [instance_id])
    verdicts.judge(ledger, claim(ledger)[0].token, scored(0.9))
    (kept,) = rows(ledger, tables.verdicts)
    assert (kept.outcome, kept.reason) == ("ineligible", "too_short")
    assert (now_of(ledger, instance_id).state, now_of(ledger, instance_id).reason) == (InstanceState.JUDGED, "too_short")


def test_i7_another_model_writes_a_verdict_of_its_own(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    verdicts.judge(ledger, claim(ledger)[0].token, scored(0.1))
    _set_aside(ledger, instance_id)
    requeue.requeue_instances(ledger, [instance_id])
    other = replace(PROVENANCE, model=replace(PROVENANCE.model, version="2.0.0"))
    verdicts.judge(ledger, claim(ledger)[0].token, replace(scored(0.9), provenance=other))
    assert [(r.model_version, r.outcome) for r in rows(ledger, tables.verdicts)] == [
        ("1.0.0", "satisfactory"),
        ("2.0.0", "unsatisfactory"),
    ]


@pytest.mark.parametrize("verdict", [scored(), ineligible()], ids=["scored", "ineligible"])
def test_i8_no_verdict_without_provenance(ledger: Ledger, verdict) -> None:
    add(ledger, 1)
    verdicts.judge(ledger, claim(ledger)[0].token, verdict)
    (row,) = rows(ledger, tables.verdicts)
    assert (row.model, row.model_version, row.weights_sha256, row.spec_sha256) == ("x3d-s-test", "1.0.0", "a" * 64, "b" * 64)
    assert (row.threshold, row.engine, row.precision, row.device) == (0.5, "torch", "fp32", "cpu")
    assert (row.software_version, row.mode) == ("0.0.test", "observe")
    assert row.frame_numbers == list(verdict.frame_numbers)
    assert row.judged_at is not None


PROVENANCE_COLUMNS = [
    *("outcome", "threshold", "model", "model_version", "weights_sha256", "spec_sha256", "engine"),
    *("precision", "device", "software_version", "mode", "frame_numbers", "judged_at"),
]


@pytest.mark.parametrize("column", PROVENANCE_COLUMNS)
def test_i8_the_database_itself_refuses_a_verdict_without_provenance(ledger: Ledger, column: str) -> None:
    add(ledger, 1)
    verdicts.judge(ledger, claim(ledger)[0].token, scored())
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as conn:
        conn.execute(sa.update(tables.verdicts).values({column: sa.null()}))


def test_a_hostile_detail_is_cut_and_cleaned_and_costs_no_verdict(ledger: Ledger) -> None:
    add(ledger, 1)
    verdicts.judge(ledger, claim(ledger)[0].token, replace(ineligible(), detail="a\0b\n" + "x" * 5000))
    (row,) = rows(ledger, tables.verdicts)
    assert row.detail.startswith("abxxx")
    assert len(row.detail) == 512


def test_every_move_writes_one_event(ledger: Ledger) -> None:
    instance_id = add(ledger, 1)
    leases.release(ledger, [claim(ledger)[0].token])
    leases.put_back(ledger, claim(ledger)[0].token, delay_seconds=0, reason="scorer_failed", alone_next=True)
    claim(ledger)
    expire_leases(ledger)
    leases.expire(ledger, max_attempts=9)
    leases.quarantine(ledger, claim(ledger)[0].token, reason="decoder_crashed")
    requeue.requeue_instances(ledger, None)
    verdicts.judge(ledger, claim(ledger)[0].token, scored())
    assert moves(ledger, "instance", instance_id) == [
        *("receive", "claim", "release", "claim", "retry", "claim", "expire"),
        *("claim", "give_up", "requeue", "claim", "judge"),
    ]


def test_a_move_that_the_table_does_not_know_is_refused(ledger: Ledger) -> None:
    add(ledger, 1)
    source, target = InstanceState.RECEIVED, InstanceState.JUDGED
    with ledger.write() as conn, pytest.raises(ValueError, match="no move judge"):
        transition(conn, INSTANCE, Move.JUDGE, source=source, target=target, now=ledger.now(conn))
    assert rows(ledger, tables.instances)[0].state == "received"


def _set_aside(ledger: Ledger, instance_id: int) -> None:
    deliveries.quarantine_instance(ledger, instance_id, reason="digest_mismatch")
    assert now_of(ledger, instance_id).state is InstanceState.QUARANTINED
