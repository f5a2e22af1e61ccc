"""What people ask: filters, paging by key, one instance's history, totals."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dicomqc.core.record import KEYS
from dicomqc.ledger import deliveries, instances, leases, reports, requeue, tables, verdicts
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.ledger.reports import Filters
from tests.support.facts import PROVENANCE, ineligible, received, scored
from tests.support.ledgers import judge_all, rows, settle_all


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """1 satisfactory and delivered, 2 unsatisfactory, 3 too short, 4 quarantined, 5 being scored, 6 waiting."""
    for n, series in zip(range(1, 7), (1, 1, 1, 2, 3, 3), strict=True):
        changed = replace(received(n, series=series), calling_ae=f"LAB{n % 2}", study_instance_uid=f"1.2.9.{series}")
        instances.record(ledger, changed, revision_note=None)
    held = leases.claim(ledger, owner="w", limit=5, lease_seconds=600)
    for lease, verdict in zip(held, [scored(0.1), scored(0.9), ineligible()], strict=False):
        verdicts.judge(ledger, lease.token, verdict)
    leases.quarantine(ledger, held[3].token, reason="decoder_crashed")
    settle_all(ledger)
    (sent,) = deliveries.claim(ledger, owner="s", destination="pacs", limit=9, lease_seconds=60)
    deliveries.accept(ledger, sent.token, status=0xB000)
    return ledger


def found(ledger: Ledger, *, limit: int | None = None, **filters) -> list[int]:
    return [r.instance_id for r in reports.records(ledger, Filters(**filters), limit=limit)]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"newest_first": True}, [6, 5, 4, 3, 2, 1]),
        ({"outcome": "satisfactory"}, [1]),
        ({"outcome": "unsatisfactory"}, [2]),
        ({"outcome": "ineligible"}, [3]),
        ({"outcome": "error"}, [4]),
        ({"outcome": "pending"}, [5, 6]),
        ({"state": "judged"}, [1, 2, 3]),
        ({"state": "scoring"}, [5]),
        ({"reason": "too_short"}, [3]),
        ({"reason": "decoder_crashed"}, [4]),
        ({"calling_ae": "LAB1"}, [1, 3, 5]),
        ({"study": "1.2.9.2"}, [4]),
        ({"series": "1.2.8.3"}, [5, 6]),
        ({"series": "1.2.8.1", "outcome": "satisfactory", "calling_ae": "LAB0"}, []),
    ],
)
def test_filters(filled: Ledger, filters, ids: list[int]) -> None:
    assert found(filled, **filters) == ids


def test_since_is_inclusive_and_until_is_not(filled: Ledger) -> None:
    at = rows(filled, tables.instances)[2].received_at
    with filled.write() as conn:
        for n in range(1, 7):
            t = tables.instances
            conn.execute(sa.update(t).where(t.c.id == n).values(received_at=at + timedelta(hours=n)))
    assert found(filled, since=at + timedelta(hours=3)) == [3, 4, 5, 6]
    assert found(filled, until=at + timedelta(hours=3)) == [1, 2]


def test_a_record_has_every_key_and_says_how_things_stand(filled: Ledger) -> None:
    records = [r.record.as_json() for r in reports.records(filled, Filters())]
    assert all(tuple(r) == KEYS for r in records)
    assert [(r["state"], r["outcome"], r["reason"]) for r in records] == [
        ("judged", "satisfactory", None),
        ("judged", "unsatisfactory", None),
        ("judged", "ineligible", "too_short"),
        ("quarantined", "error", "decoder_crashed"),
        ("scoring", None, None),
        ("received", None, None),
    ]
    first = records[0]
    assert (first["model"], first["p_unsatisfactory"], first["threshold"]) == ("x3d-s-test@1.0.0", 0.1, 0.5)
    assert first["frame_numbers"] == list(range(16, 47, 2))
    (delivery,) = first["deliveries"]  # type: ignore[misc]
    assert (delivery["destination"], delivery["state"], delivery["status"]) == ("pacs", "delivered", "B000")
    assert delivery["delivered_at"].endswith("Z")


def test_a_filter_speaks_of_the_newest_verdict_only(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    judge_all(ledger, [scored(0.1)])
    deliveries.quarantine_instance(ledger, 1, reason="digest_mismatch")
    requeue.requeue_instances(ledger, None)
    other = replace(PROVENANCE, model=replace(PROVENANCE.model, version="2.0.0"))
    judge_all(ledger, [replace(scored(0.9), provenance=other)])
    assert [r.record.outcome for r in reports.records(ledger, Filters())] == ["unsatisfactory"]
    assert (found(ledger, outcome="satisfactory"), found(ledger, outcome="unsatisfactory")) == ([], [1])
    assert reports.stats(ledger).outcomes == {"unsatisfactory": 1}


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_by_key_without_gap_or_repeat(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, newest_first: bool) -> None:
    monkeypatch.setattr(reports, "CHUNK", 3)
    for n in range(10):
        instances.record(ledger, received(n), revision_note=None)
    ids = sorted(range(1, 11), reverse=newest_first)
    assert found(ledger, newest_first=newest_first) == ids
    for limit in (1, 3, 4, 10, 11):
        assert found(ledger, newest_first=newest_first, limit=limit) == ids[:limit]
    assert found(ledger, series="none") == []


def test_what_arrives_while_paging_is_read_and_nothing_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "CHUNK", 2)
    for n in range(4):
        instances.record(ledger, received(n), revision_note=None)
    paging = reports.records(ledger, Filters())
    seen = [next(paging).instance_id]
    instances.record(ledger, received(9), revision_note=None)
    seen += [r.instance_id for r in paging]
    assert seen == [1, 2, 3, 4, 5]


def test_an_export_of_many_rows_holds_one_chunk_at_a_time(ledger: Ledger) -> None:
    total = 3 * reports.CHUNK + 7
    instances.record(ledger, received(0), revision_note=None)
    (first,) = rows(ledger, tables.instances)
    shape = {k: v for k, v in first._mapping.items() if k != "id"}
    with ledger.write() as conn:
        conn.execute(
            sa.insert(tables.instances),
            [{**shape, "sop_instance_uid": f"1.9.{n}", "digest": f"{n:064d}"} for n in range(1, total)],
        )
    fetched: list[int] = []

    @sa.event.listens_for(ledger.engine, "after_cursor_execute")
    def watch(_conn, _cursor, statement, parameters, _context, _many):
        if "FROM instances" in statement:
            fetched.append(len(fetched))

    records = reports.records(ledger, Filters())
    list(itertools.islice(records, 10))
    assert len(fetched) == 1
    assert sum(1 for _ in records) == total - 10
    assert len(fetched) == 4


def test_show_tells_the_whole_history(filled: Ledger) -> None:
    history = reports.history(filled, 1)
    assert history is not None
    assert (history.instance.id, history.record.outcome, history.logit) == (1, "satisfactory", -1.0)
    assert [(n, outcome) for n, outcome, _ in history.series_verdicts] == [(1, "satisfactory")]
    assert {(e.subject, e.move) for e in history.events} == {
        *(("instance", m) for m in ("receive", "claim", "judge")),
        *(("series", m) for m in ("open", "settle")),
        *(("delivery", m) for m in ("ask", "claim", "accepted")),
    }
    assert [e.at for e in history.events] == sorted(e.at for e in history.events)
    refused = reports.history(filled, 3)
    assert refused is not None
    assert (refused.detail, refused.logit) == ("14 of 47 frames", None)
    assert reports.history(filled, 99) is None


def test_names_are_row_ids_uids_and_the_start_of_a_digest(filled: Ledger) -> None:
    digest = rows(filled, tables.instances)[3].digest
    assert reports.find(filled, "4") == [4]
    assert reports.find(filled, "1.2.3.4") == [4]
    assert reports.find(filled, "1.2.8.1") == [1, 2, 3]
    assert reports.find(filled, "1.2.9.3") == [5, 6]
    assert reports.find(filled, digest) == reports.find(filled, digest[:8]) == [4]
    for nobody in ("0", "99999999999999999999999", "1.2", digest[:7] + "_", "%", "' OR 1=1", "²"):
        assert reports.find(filled, nobody) == [], nobody


def test_stats_count_what_there_is(filled: Ledger) -> None:
    s = reports.stats(filled)
    assert s.instances == {"judged": 3, "quarantined": 1, "received": 1, "scoring": 1}
    assert s.outcomes == {"satisfactory": 1, "unsatisfactory": 1, "ineligible": 1}
    assert s.reasons == {"decoder_crashed": 1, "too_short": 1}
    assert s.series == {"open": 1, "settled": 2}
    assert s.deliveries == {"delivered": 1}
    assert s.bytes_held == sum(r.size_bytes for r in rows(filled, tables.instances))
    assert s.oldest_unjudged_seconds is not None
    assert 0 <= s.oldest_unjudged_seconds < 600
    assert s.oldest_undelivered_seconds is None


def test_stats_of_an_empty_ledger(ledger: Ledger) -> None:
    s = reports.stats(ledger)
    assert (s.instances, s.outcomes, s.bytes_held, s.oldest_unjudged_seconds) == ({}, {}, 0, None)
