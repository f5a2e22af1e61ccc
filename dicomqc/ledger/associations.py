"""Associations as leased rows, so that a dead receiver holds no series open for ever."""

from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa

from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger

_t = tables.associations


def open_association(ledger: Ledger, *, calling_ae: str, called_ae: str, peer: str, lease_seconds: float) -> int:
    """Record an accepted association; returns its id. Raises Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        association_id: int = conn.execute(
            sa.insert(_t)
            .values(
                calling_ae=calling_ae,
                called_ae=called_ae,
                peer=peer,
                opened_at=now,
                lease_expires_at=now + timedelta(seconds=lease_seconds),
                transferring=False,
            )
            .returning(_t.c.id)
        ).scalar_one()
        return association_id


def renew_associations(ledger: Ledger, live: Mapping[int, bool], *, lease_seconds: float) -> None:
    """Renew the leases of live associations; the value says whether a transfer is in progress. Raises Unavailable."""
    if not live:
        return
    with ledger.write() as conn:
        expires = ledger.now(conn) + timedelta(seconds=lease_seconds)
        for transferring in (False, True):
            ids = [i for i, busy in live.items() if busy is transferring]
            conn.execute(sa.update(_t).where(_t.c.id.in_(ids)).values(lease_expires_at=expires, transferring=transferring))


def close_association(ledger: Ledger, association_id: int) -> None:
    """Record the end of an association, however it ended. Raises Unavailable."""
    with ledger.write() as conn:
        conn.execute(sa.update(_t).where(_t.c.id == association_id).values(closed_at=ledger.now(conn), transferring=False))
