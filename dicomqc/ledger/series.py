"""Settling: when a series is at rest, one numbered verdict and the deliveries it asks for, in one transaction (I9, I14)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomqc.core.lifecycle import DeliveryState, InstanceState, Move, SeriesState
from dicomqc.core.options import SeriesOptions
from dicomqc.core.series import Member, SeriesVerdict
from dicomqc.core.verdict import Outcome
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import DELIVERY, SERIES, record, transition

_s, _i, _a, _v = tables.series, tables.instances, tables.associations, tables.verdicts
_BUSY = (InstanceState.RECEIVED, InstanceState.SCORING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one settling wrote: the series' row id, the verdict's number within it, and how many deliveries were asked for."""

    series_id: int
    number: int
    verdict: SeriesVerdict
    deliveries: int


def due(ledger: Ledger, options: SeriesOptions, *, limit: int = 100) -> list[int]:
    """The open series that may settle now, longest quiet first. Raises Unavailable."""
    with ledger.read() as conn:
        ready = sa.select(_s.c.id).where(*_ready(options, ledger.now(conn)))
        return list(conn.execute(ready.order_by(_s.c.last_received_at).limit(limit)).scalars())


def _ready(options: SeriesOptions, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    busy = sa.exists().where(_i.c.series_id == _s.c.id, _i.c.state.in_(_BUSY))
    merely_open = _s.c.last_received_at > now - timedelta(seconds=options.max_open_seconds)
    arriving = (
        sa.exists()
        .where(_i.c.series_id == _s.c.id, _i.c.association_id == _a.c.id)
        .where(_a.c.closed_at.is_(None), _a.c.lease_expires_at > now, sa.or_(_a.c.transferring, merely_open))
    )
    quiet = _s.c.last_received_at <= now - timedelta(seconds=options.quiet_seconds)
    return _s.c.state == SeriesState.OPEN, quiet, ~busy, ~arriving


def settle(
    ledger: Ledger,
    series_id: int,
    *,
    options: SeriesOptions,
    decide: Callable[[Sequence[Member]], SeriesVerdict],
    destinations: Sequence[str],
) -> Settled | None:
    """Settle one series if it is still due; null otherwise. `decide` is pure: no IO in the transaction. Raises Unavailable."""
    with ledger.write() as conn:
        # The row lock orders us against a late instance or a requeue: it re-opened the series before this look, or will after
        # our commit. Locked first and looked at afterwards: PostgreSQL would judge the other tables by a snapshot that is as
        # old as the wait for the lock.
        conn.execute(sa.select(_s.c.id).where(_s.c.id == series_id).with_for_update())
        now = ledger.now(conn)
        ready = sa.select(_s.c.id).where(_s.c.id == series_id, *_ready(options, now))
        if conn.execute(ready).scalar_one_or_none() is None:
            return None
        verdict = decide(_members(conn, series_id))
        number, verdict_id = _write_verdict(conn, series_id, verdict, now)
        asked = _ask(conn, verdict.released, destinations, verdict_id, now)
        source, target = SeriesState.OPEN, SeriesState.SETTLED
        values = {"settled_at": now}
        transition(
            conn,
            SERIES,
            Move.SETTLE,
            _s.c.id == series_id,
            source=source,
            target=target,
            now=now,
            values=values,
            detail=verdict.outcome,
        )
        return Settled(series_id=series_id, number=number, verdict=verdict, deliveries=asked)


def _members(conn: sa.Connection, series_id: int) -> list[Member]:
    newest = sa.select(_v.c.outcome).where(_v.c.instance_id == _i.c.id).order_by(_v.c.id.desc()).limit(1)
    outcome = newest.correlate(_i).scalar_subquery().label("outcome")
    rows = conn.execute(
        sa.select(_i.c.id, _i.c.state, _i.c.revision, outcome).where(_i.c.series_id == series_id).order_by(_i.c.id)
    )
    return [
        Member(
            instance_id=r.id,
            state=InstanceState(r.state),
            outcome=None if r.outcome is None else Outcome(r.outcome),
            revision=r.revision,
        )
        for r in rows
    ]


def _write_verdict(conn: sa.Connection, series_id: int, verdict: SeriesVerdict, now: datetime) -> tuple[int, int]:
    t = tables.series_verdicts
    number = conn.execute(
        sa.select(sa.func.coalesce(sa.func.max(t.c.number), 0) + 1).where(t.c.series_id == series_id)
    ).scalar_one()
    row = {
        "series_id": series_id,
        "number": number,
        "outcome": verdict.outcome,
        "rule": verdict.rule,
        "satisfactory": verdict.satisfactory,
        "unsatisfactory": verdict.unsatisfactory,
        "ineligible": verdict.ineligible,
        "quarantined": verdict.quarantined,
        "settled_at": now,
    }
    return number, conn.execute(sa.insert(t).values(**row).returning(t.c.id)).scalar_one()


def _ask(conn: sa.Connection, released: Sequence[int], destinations: Sequence[str], verdict_id: int, now: datetime) -> int:
    """Write the deliveries that do not yet exist for (instance revision, destination)."""
    t = tables.deliveries
    known = {tuple(r) for r in conn.execute(sa.select(t.c.instance_id, t.c.destination).where(t.c.instance_id.in_(released)))}
    rows = [
        {
            "instance_id": instance_id,
            "series_verdict_id": verdict_id,
            "destination": destination,
            "state": DeliveryState.PENDING,
            "asked_at": now,
            "attempts": 0,
            "next_attempt_at": now,
        }
        for destination in destinations
        for instance_id in released
        if (instance_id, destination) not in known
    ]
    if rows:
        ids = list(conn.execute(sa.insert(t).returning(t.c.id), rows).scalars())
        record(conn, DELIVERY, Move.ASK, ids, source=None, target=DeliveryState.PENDING, now=now)
    return len(rows)
