"""What people ask of the ledger: records, one instance's history, totals, and putting set-aside work back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.record import DeliveryRecord, Record
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import DELIVERY, INSTANCE, SERIES, Event
from dicomqc.ledger.events import of as events_of
from dicomqc.ledger.instances import stored

_i, _v, _d, _s, _sv = tables.instances, tables.verdicts, tables.deliveries, tables.series, tables.series_verdicts
CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which instances to list; null means every one. `outcome` may be `error` (quarantined) or `pending` (not yet judged)."""

    state: str | None = None
    outcome: str | None = None
    reason: str | None = None
    calling_ae: str | None = None
    study: str | None = None
    series: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One instance: its ledger id and its record."""

    instance_id: int
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that the ledger knows of one instance."""

    instance: StoredInstance
    record: Record
    detail: str
    logit: float | None
    series_verdicts: tuple[tuple[int, str, datetime], ...]
    events: tuple[Event, ...]


def records(ledger: Ledger, filters: Filters, *, limit: int | None = None) -> Iterator[Row]:
    """The instances that match, in order of receipt, in chunks by key: a million rows need no memory. Raises Unavailable."""
    last: int | None = None
    left = limit
    while left is None or left > 0:
        size = CHUNK if left is None else min(CHUNK, left)
        with ledger.read() as conn:
            rows = list(_page(conn, filters, last, size))
        yield from rows
        if len(rows) < size:
            return
        last = rows[-1].instance_id
        left = None if left is None else left - len(rows)


def _page(conn: sa.Connection, filters: Filters, last: int | None, size: int) -> Iterator[Row]:
    order = _i.c.id.desc() if filters.newest_first else _i.c.id
    statement = sa.select(_i).where(*_conditions(filters)).order_by(order).limit(size)
    if last is not None:
        statement = statement.where(_i.c.id < last if filters.newest_first else _i.c.id > last)
    instances = conn.execute(statement).all()
    ids = [r.id for r in instances]
    # Ordered by id, so that the newest verdict of an instance is the one that stays in the mapping.
    verdicts = {v.instance_id: v for v in conn.execute(sa.select(_v).where(_v.c.instance_id.in_(ids)).order_by(_v.c.id))}
    sent: dict[int, list[DeliveryRecord]] = {}
    for d in conn.execute(sa.select(_d).where(_d.c.instance_id.in_(ids)).order_by(_d.c.id)):
        sent.setdefault(d.instance_id, []).append(_delivery(d))
    for r in instances:
        yield Row(instance_id=r.id, record=_record(r, verdicts.get(r.id), tuple(sent.get(r.id, ()))))


def _conditions(f: Filters) -> list[sa.ColumnElement[bool]]:
    equal: Mapping[str, sa.Column[Any]] = {
        "state": _i.c.state,
        "calling_ae": _i.c.calling_ae,
        "study": _i.c.study_instance_uid,
        "series": _i.c.series_instance_uid,
    }
    found: list[sa.ColumnElement[bool]] = [c == getattr(f, n) for n, c in equal.items() if getattr(f, n) is not None]
    if f.since is not None:
        found.append(_i.c.received_at >= f.since)
    if f.until is not None:
        found.append(_i.c.received_at < f.until)
    if f.reason is not None:
        found.append(_i.c.reason == f.reason)
    if f.outcome == "error":
        found.append(_i.c.state == InstanceState.QUARANTINED)
    elif f.outcome == "pending":
        found.append(_i.c.state.in_((InstanceState.RECEIVED, InstanceState.SCORING)))
    elif f.outcome is not None:
        found.append(_i.c.state.in_((InstanceState.JUDGED, InstanceState.PURGED)))
        found.append(_newest(_v.c.outcome) == f.outcome)
    return found


def _newest(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    """A column of an instance's newest verdict, which is the one that its record shows."""
    return (
        sa.select(column).where(_v.c.instance_id == _i.c.id).order_by(_v.c.id.desc()).limit(1).correlate(_i).scalar_subquery()
    )


def _delivery(row: sa.Row[Any]) -> DeliveryRecord:
    status = None if row.status is None else f"{row.status:04X}"
    return DeliveryRecord(
        destination=row.destination, state=row.state, status=status, reason=row.reason, delivered_at=row.delivered_at
    )


def _record(row: sa.Row[Any], verdict: sa.Row[Any] | None, sent: tuple[DeliveryRecord, ...]) -> Record:
    # A verdict that stands beside a later quarantine or requeue is history; the record says how things are now.
    v = verdict if row.state in (InstanceState.JUDGED, InstanceState.PURGED) else None
    outcome = "error" if row.state == InstanceState.QUARANTINED else None if v is None else v.outcome
    return Record(
        path=row.path,
        sop_instance_uid=row.sop_instance_uid,
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        outcome=outcome,
        reason=row.reason,
        p_unsatisfactory=None if v is None else v.p_unsatisfactory,
        threshold=None if v is None else v.threshold,
        model=None if v is None else f"{v.model}@{v.model_version}",
        weights_sha256=None if v is None else v.weights_sha256,
        spec_sha256=None if v is None else v.spec_sha256,
        engine=None if v is None else v.engine,
        precision=None if v is None else v.precision,
        mode=None if v is None else v.mode,
        frame_rate_hz=None if v is None else v.frame_rate_hz,
        frame_rate_source=None if v is None else v.frame_rate_source,
        frames=None if v is None else v.frames,
        frame_numbers=None if v is None else tuple(v.frame_numbers),
        calling_ae=row.calling_ae,
        received_at=row.received_at,
        judged_at=None if v is None else v.judged_at,
        seconds_decode=None if v is None else v.seconds_decode,
        seconds_score=None if v is None else v.seconds_score,
        deliveries=sent,
    )


def history(ledger: Ledger, instance_id: int) -> History | None:
    """Everything about one instance, or null. Raises Unavailable."""
    with ledger.read() as conn:
        row = conn.execute(sa.select(_i).where(_i.c.id == instance_id)).one_or_none()
        if row is None:
            return None
        verdict = conn.execute(sa.select(_v).where(_v.c.instance_id == row.id).order_by(_v.c.id.desc()).limit(1)).one_or_none()
        sent = conn.execute(sa.select(_d).where(_d.c.instance_id == row.id).order_by(_d.c.id)).all()
        settled = conn.execute(sa.select(_sv).where(_sv.c.series_id == row.series_id).order_by(_sv.c.number)).all()
        events = [
            *events_of(conn, INSTANCE, [row.id]),
            *events_of(conn, SERIES, [row.series_id]),
            *events_of(conn, DELIVERY, [d.id for d in sent]),
        ]
        return History(
            instance=stored(row),
            record=_record(row, verdict, tuple(map(_delivery, sent))),
            detail="" if verdict is None else verdict.detail,
            logit=None if verdict is None else verdict.logit,
            series_verdicts=tuple((s.number, s.outcome, s.settled_at) for s in settled),
            events=tuple(sorted(events, key=lambda e: e.at)),
        )


def find(ledger: Ledger, name: str) -> list[int]:
    """The ids of the instances that `name` means: a row id, a SOP, Series or Study Instance UID, or the start of a digest."""
    conditions = [_i.c.sop_instance_uid == name, _i.c.series_instance_uid == name, _i.c.study_instance_uid == name]
    if len(name) >= 8 and all(c in "0123456789abcdef" for c in name):  # noqa: PLR2004 - short prefixes would match by chance
        conditions.append(_i.c.digest.startswith(name, autoescape=True))
    if name.isdecimal() and len(name) < 19:  # noqa: PLR2004 - what a 64-bit id can hold
        conditions.append(_i.c.id == int(name))
    with ledger.read() as conn:
        return list(conn.execute(sa.select(_i.c.id).where(sa.or_(*conditions)).order_by(_i.c.id)).scalars())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Totals: by state, by outcome, by reason, of series and of deliveries, and the age of the oldest work in seconds."""

    instances: Mapping[str, int]
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    series: Mapping[str, int]
    deliveries: Mapping[str, int]
    bytes_held: int
    oldest_unjudged_seconds: float | None
    oldest_undelivered_seconds: float | None


def stats(ledger: Ledger) -> Stats:
    """Count what there is. Raises Unavailable."""
    with ledger.read() as conn:
        now = ledger.now(conn)

        def totals(column: sa.Column[Any], *where: sa.ColumnElement[bool]) -> dict[str, int]:
            rows = conn.execute(sa.select(column, sa.func.count()).where(*where).group_by(column).order_by(column))
            return {str(name): total for name, total in rows if name is not None}

        def age(column: sa.Column[Any], *where: sa.ColumnElement[bool]) -> float | None:
            oldest = conn.execute(sa.select(sa.func.min(column)).where(*where)).scalar_one()
            return None if oldest is None else (now - oldest).total_seconds()

        known = sa.exists().where(_i.c.id == _v.c.instance_id, _i.c.state.in_((InstanceState.JUDGED, InstanceState.PURGED)))
        later = _v.alias()
        superseded = sa.exists().where(later.c.instance_id == _v.c.instance_id, later.c.id > _v.c.id)
        held = sa.select(sa.func.coalesce(sa.func.sum(_i.c.size_bytes), 0)).where(_i.c.state != InstanceState.PURGED)
        return Stats(
            instances=totals(_i.c.state),
            outcomes=totals(_v.c.outcome, known, ~superseded),
            reasons=totals(_i.c.reason),
            series=totals(_s.c.state),
            deliveries=totals(_d.c.state),
            bytes_held=int(conn.execute(held).scalar_one()),
            oldest_unjudged_seconds=age(_i.c.received_at, _i.c.state.in_((InstanceState.RECEIVED, InstanceState.SCORING))),
            oldest_undelivered_seconds=age(_d.c.asked_at, _d.c.state.in_(("pending", "sending"))),
        )
