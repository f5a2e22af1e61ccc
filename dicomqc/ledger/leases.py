"""Scoring work as leases on instance rows: the ledger is the queue (I5, I6, I12).

A row is claimed by one short transaction under a fresh token and ended by a write that carries the token.
"""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from dicomqc.core.cine import Failure
from dicomqc.core.errors import LeaseLost
from dicomqc.core.instance import ClaimedInstance
from dicomqc.core.lifecycle import InstanceState, Move
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import INSTANCE, Subject, transition
from dicomqc.ledger.instances import stored

_t = tables.instances
FREE: Mapping[str, Any] = {"lease_token": None, "lease_owner": None, "lease_expires_at": None}


def claim(ledger: Ledger, *, owner: str, limit: int, lease_seconds: float) -> list[ClaimedInstance]:
    """Lease up to `limit` instances, oldest first; a row whose lease once expired comes alone (I6). Raises Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        ready = (_t.c.state == InstanceState.RECEIVED, _t.c.next_attempt_at <= now)
        ids = _pick(conn, *ready, _t.c.suspect, limit=1)
        alone = bool(ids)
        ids = ids or _pick(conn, *ready, ~_t.c.suspect, limit=limit)
        return take(conn, ids, owner=owner, alone=alone or limit == 1, lease_seconds=lease_seconds, now=now)


def take(
    conn: sa.Connection, ids: Collection[int], *, owner: str, alone: bool, lease_seconds: float, now: datetime
) -> list[ClaimedInstance]:
    """Put a fresh lease on picked rows and count the attempt."""
    if not ids:
        return []
    values = {**lease(INSTANCE, owner, lease_seconds, now), "attempts": _t.c.attempts + 1, "claimed_alone": alone}
    source, target = InstanceState.RECEIVED, InstanceState.SCORING
    transition(conn, INSTANCE, Move.CLAIM, _t.c.id.in_(ids), source=source, target=target, now=now, values=values)
    rows = conn.execute(sa.select(_t).where(_t.c.id.in_(ids)).order_by(_t.c.received_at, _t.c.id))
    return [ClaimedInstance(instance=stored(r), token=r.lease_token, attempts=r.attempts, alone=alone) for r in rows]


def lease(subject: Subject, owner: str, lease_seconds: float, now: datetime) -> dict[str, Any]:
    """The columns of a fresh lease: one random part per claim and the row's id make a token of its own for each row (I5)."""
    token = sa.literal(f"{uuid.uuid4().hex}-").op("||")(sa.cast(subject.table.c.id, sa.String(20)))
    return {"lease_token": token, "lease_owner": owner, "lease_expires_at": now + timedelta(seconds=lease_seconds)}


def _pick(conn: sa.Connection, *where: sa.ColumnElement[bool], limit: int) -> list[int]:
    # SKIP LOCKED lets claimers pass one another on PostgreSQL; on SQLite the transaction already holds the only write lock.
    statement = (
        sa.select(_t.c.id).where(*where).order_by(_t.c.received_at, _t.c.id).limit(limit).with_for_update(skip_locked=True)
    )
    return list(conn.execute(statement).scalars())


def renew(ledger: Ledger, tokens: Collection[str], *, lease_seconds: float) -> set[str]:
    """Extend leases that are still held; returns their tokens. Raises Unavailable."""
    return renew_leases(ledger, INSTANCE, InstanceState.SCORING, tokens, lease_seconds)


def renew_leases(ledger: Ledger, subject: Subject, state: str, tokens: Collection[str], lease_seconds: float) -> set[str]:
    """Extend the leases of one subject's rows; a token that is not among the returned ones was lost (I5)."""
    if not tokens:
        return set()
    t = subject.table
    with ledger.write() as conn:
        expires = ledger.now(conn) + timedelta(seconds=lease_seconds)
        held = sa.update(t).where(t.c.lease_token.in_(tokens), t.c.state == state).values(lease_expires_at=expires)
        return set(conn.execute(held.returning(t.c.lease_token)).scalars())


def release(ledger: Ledger, tokens: Collection[str]) -> None:
    """Give work back unbegun: the attempt does not count. Tokens already lost are passed over. Raises Unavailable."""
    release_leases(ledger, INSTANCE, tokens, source=InstanceState.SCORING, target=InstanceState.RECEIVED)


def release_leases(ledger: Ledger, subject: Subject, tokens: Collection[str], *, source: StrEnum, target: StrEnum) -> None:
    """Give one subject's leased rows back unbegun, attempts included."""
    if not tokens:
        return
    t = subject.table
    values = {**FREE, "attempts": t.c.attempts - 1}
    with ledger.write() as conn:
        now, where = ledger.now(conn), t.c.lease_token.in_(tokens)
        transition(conn, subject, Move.RELEASE, where, source=source, target=target, now=now, values=values)


def put_back(ledger: Ledger, token: str, *, delay_seconds: float, reason: str, alone_next: bool) -> None:
    """Return one failed instance to the queue, to be tried after `delay_seconds`. Raises LeaseLost, Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        values = {**FREE, "reason": reason, "next_attempt_at": now + timedelta(seconds=delay_seconds)}
        if alone_next:
            values["suspect"] = True
        end(conn, INSTANCE, Move.RETRY, token, InstanceState.SCORING, InstanceState.RECEIVED, now, values, reason)


def quarantine(ledger: Ledger, token: str, *, reason: str) -> None:
    """Set one instance aside until a person requeues it; its bytes stay (I11). Raises LeaseLost, Unavailable."""
    with ledger.write() as conn:
        now, values = ledger.now(conn), {**FREE, "reason": reason}
        end(conn, INSTANCE, Move.GIVE_UP, token, InstanceState.SCORING, InstanceState.QUARANTINED, now, values, reason)


def end(  # noqa: PLR0917 - one call ends a lease; its callers name every part
    conn: sa.Connection,
    subject: Subject,
    move: Move,
    token: str,
    source: Any,
    target: Any,
    now: datetime,
    values: Mapping[str, Any],
    detail: str | None,
) -> int:
    """End leased work: zero rows changed means that the lease was lost (I5). Returns the row's id. Raises LeaseLost."""
    where = subject.table.c.lease_token == token
    ids = transition(conn, subject, move, where, source=source, target=target, now=now, values=values, detail=detail)
    if not ids:
        raise LeaseLost(f"the lease on this {subject.name} expired")
    return ids[0]


def expire(ledger: Ledger, *, max_attempts: int) -> int:
    """Put work whose lease expired back; returns how many rows moved. Raises Unavailable.

    The row is next claimed alone; only a lone claim that has used `max_attempts` is quarantined (I6).
    """
    with ledger.write() as conn:
        now = ledger.now(conn)
        expired = (_t.c.lease_expires_at <= now,)
        guilty = (_t.c.claimed_alone, _t.c.attempts >= max_attempts)
        reason = Failure.WORKER_CRASHED.value
        source = InstanceState.SCORING
        gone = transition(
            conn,
            INSTANCE,
            Move.GIVE_UP,
            *expired,
            *guilty,
            source=source,
            target=InstanceState.QUARANTINED,
            now=now,
            values={**FREE, "reason": reason},
            detail=reason,
        )
        values = {**FREE, "suspect": True, "next_attempt_at": now}
        target = InstanceState.RECEIVED
        back = transition(conn, INSTANCE, Move.EXPIRE, *expired, source=source, target=target, now=now, values=values)
        return len(gone) + len(back)
