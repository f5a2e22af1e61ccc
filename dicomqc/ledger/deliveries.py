"""Deliveries as leases: claimed per series and destination, ended by the peer's own status (I5, I9, I10)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dicomqc.core.delivery import ClaimedDelivery, SendFailure
from dicomqc.core.lifecycle import DeliveryState, InstanceState, Move
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import DELIVERY, INSTANCE, transition
from dicomqc.ledger.instances import stored
from dicomqc.ledger.leases import FREE, end, lease, release_leases, renew_leases

_d, _i = tables.deliveries, tables.instances


def claim(ledger: Ledger, *, owner: str, destination: str, limit: int, lease_seconds: float) -> list[ClaimedDelivery]:
    """Lease what is due of one series to one destination, the longest waiting series first. Raises Unavailable.

    What was tried least comes first: an object on which the peer aborts must not stand before the others at every attempt.
    """
    with ledger.write() as conn:
        now = ledger.now(conn)
        due = (_d.c.state == DeliveryState.PENDING, _d.c.destination == destination, _d.c.next_attempt_at <= now)
        joined = sa.select(_d.c.id, _i.c.series_id).join(_i, _i.c.id == _d.c.instance_id).where(*due)
        lock: dict[str, Any] = {"of": _d, "skip_locked": True}
        first = conn.execute(joined.order_by(_d.c.next_attempt_at, _d.c.id).limit(1).with_for_update(**lock)).one_or_none()
        if first is None:
            return []
        of_series = joined.where(_i.c.series_id == first.series_id).order_by(_d.c.attempts, _d.c.id)
        ids = [r.id for r in conn.execute(of_series.limit(limit).with_for_update(**lock))]
        values = {**lease(DELIVERY, owner, lease_seconds, now), "attempts": _d.c.attempts + 1}
        source, target = DeliveryState.PENDING, DeliveryState.SENDING
        transition(conn, DELIVERY, Move.CLAIM, _d.c.id.in_(ids), source=source, target=target, now=now, values=values)
        return _claimed(conn, ids, now)


def _claimed(conn: sa.Connection, ids: Collection[int], now: datetime) -> list[ClaimedDelivery]:
    chosen = (_d.c.id.label("delivery_id"), _d.c.lease_token, _d.c.attempts.label("tries"), _d.c.asked_at, _d.c.destination)
    rows = conn.execute(
        sa.select(_i, *chosen)
        .join(_d, _i.c.id == _d.c.instance_id)
        .where(_d.c.id.in_(ids))
        .order_by(_d.c.attempts, _d.c.id)
        .set_label_style(sa.LABEL_STYLE_DISAMBIGUATE_ONLY)
    )
    claimed = []
    for r in rows:
        m = r._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
        claimed.append(
            ClaimedDelivery(
                id=r.delivery_id,
                token=m[_d.c.lease_token],
                attempts=r.tries,
                seconds_since_asked=(now - r.asked_at).total_seconds(),
                destination=r.destination,
                instance=stored(r),
            )
        )
    return claimed


def renew(ledger: Ledger, tokens: Collection[str], *, lease_seconds: float) -> set[str]:
    """Extend leases while bytes flow; returns the tokens still held. Raises Unavailable."""
    return renew_leases(ledger, DELIVERY, DeliveryState.SENDING, tokens, lease_seconds)


def release(ledger: Ledger, tokens: Collection[str]) -> None:
    """Give deliveries back unbegun: the attempt does not count. Raises Unavailable."""
    release_leases(ledger, DELIVERY, tokens, source=DeliveryState.SENDING, target=DeliveryState.PENDING)


def accept(ledger: Ledger, token: str, *, status: int) -> None:
    """The peer has the instance; its status is kept (I10). Raises LeaseLost, Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        values = {**FREE, "status": status, "reason": None, "delivered_at": now}
        _end(conn, Move.ACCEPTED, token, DeliveryState.DELIVERED, now, values, f"{status:04X}")


def put_back(ledger: Ledger, token: str, *, delay_seconds: float, reason: str, status: int | None) -> None:
    """Try again after `delay_seconds`. Raises LeaseLost, Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        later = now + timedelta(seconds=delay_seconds)
        values = {**FREE, "status": status, "reason": reason, "next_attempt_at": later}
        _end(conn, Move.RETRY, token, DeliveryState.PENDING, now, values, reason)


def give_up(ledger: Ledger, token: str, *, reason: str, status: int | None) -> None:
    """Undeliverable until a person requeues it; its bytes stay (I11). Raises LeaseLost, Unavailable."""
    with ledger.write() as conn:
        values = {**FREE, "status": status, "reason": reason}
        _end(conn, Move.GIVE_UP, token, DeliveryState.UNDELIVERABLE, ledger.now(conn), values, reason)


def _end(
    conn: sa.Connection, move: Move, token: str, target: DeliveryState, now: datetime, values: dict[str, Any], detail: str
) -> None:
    end(conn, DELIVERY, move, token, DeliveryState.SENDING, target, now, values, detail)


def expire(ledger: Ledger) -> int:
    """Put deliveries whose sender died back; returns how many. The peer may see one twice (I10). Raises Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        source, target = DeliveryState.SENDING, DeliveryState.PENDING
        values = {**FREE, "reason": SendFailure.SENDER_CRASHED, "next_attempt_at": now}
        where = _d.c.lease_expires_at <= now
        return len(transition(conn, DELIVERY, Move.EXPIRE, where, source=source, target=target, now=now, values=values))


def next_due_seconds(ledger: Ledger) -> float | None:
    """Seconds until the next pending delivery is due (0 if one is), or null if none is pending. Raises Unavailable."""
    with ledger.read() as conn:
        first = conn.execute(
            sa.select(sa.func.min(_d.c.next_attempt_at)).where(_d.c.state == DeliveryState.PENDING)
        ).scalar_one()
        return None if first is None else max(0.0, (first - ledger.now(conn)).total_seconds())


def give_up_unknown(ledger: Ledger, known: Collection[str]) -> int:
    """End deliveries to destinations that are no longer configured; returns how many. Raises Unavailable."""
    reason = SendFailure.UNKNOWN_DESTINATION.value
    with ledger.write() as conn:
        now = ledger.now(conn)
        where = _d.c.destination.not_in(known)
        source, held, target = DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNDELIVERABLE
        transition(conn, DELIVERY, Move.CLAIM, where, source=source, target=held, now=now, detail=reason)
        # Without a token: what a sender still holds (it may know the destination) is not ours to end.
        gone = transition(
            conn,
            DELIVERY,
            Move.GIVE_UP,
            where,
            _d.c.lease_token.is_(None),
            source=held,
            target=target,
            now=now,
            values={**FREE, "reason": reason},
            detail=reason,
        )
        return len(gone)


def quarantine_instance(ledger: Ledger, instance_id: int, *, reason: str) -> None:
    """Set aside an instance whose stored bytes are not what was recorded (I4). Raises Unavailable."""
    with ledger.write() as conn:
        now, where = ledger.now(conn), _i.c.id == instance_id
        source, target = InstanceState.JUDGED, InstanceState.QUARANTINED
        values = {"reason": reason}
        transition(conn, INSTANCE, Move.GIVE_UP, where, source=source, target=target, now=now, values=values, detail=reason)
