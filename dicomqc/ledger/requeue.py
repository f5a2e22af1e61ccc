"""Putting set-aside work back, by a person's word: quarantined instances and undeliverable deliveries."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from dicomqc.core.lifecycle import DeliveryState, InstanceState, Move, SeriesState
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import DELIVERY, INSTANCE, SERIES, transition

_i, _d, _s = tables.instances, tables.deliveries, tables.series
CHUNK = 1000


def requeue_instances(ledger: Ledger, instance_ids: Collection[int] | None) -> int:
    """Score quarantined instances again, alone; null means all of them. Their series re-opens. Raises Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        where = () if instance_ids is None else (_i.c.id.in_(instance_ids),)
        # The series first, as a settling does: else one could settle an open series between our two updates (PostgreSQL).
        aside = sa.select(_i.c.series_id).where(_i.c.state == InstanceState.QUARANTINED, *where)
        touched = list(conn.execute(sa.select(_s.c.id).where(_s.c.id.in_(aside)).order_by(_s.c.id).with_for_update()).scalars())
        source, target = InstanceState.QUARANTINED, InstanceState.RECEIVED
        values: dict[str, Any] = {"attempts": 0, "suspect": True, "reason": None, "next_attempt_at": now}
        moved = transition(conn, INSTANCE, Move.REQUEUE, *where, source=source, target=target, now=now, values=values)
        settled, opened = SeriesState.SETTLED, SeriesState.OPEN
        values = {"settled_at": None}
        for start in range(0, len(touched), CHUNK):
            of_them = _s.c.id.in_(touched[start : start + CHUNK])
            transition(conn, SERIES, Move.REQUEUE, of_them, source=settled, target=opened, now=now, values=values)
        return len(moved)


def requeue_deliveries(ledger: Ledger, instance_ids: Collection[int] | None, *, destination: str | None) -> int:
    """Try undeliverable deliveries again, from the first attempt; null means all of them. Raises Unavailable."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        where: list[sa.ColumnElement[bool]] = [] if instance_ids is None else [_d.c.instance_id.in_(instance_ids)]
        if destination is not None:
            where.append(_d.c.destination == destination)
        source, target = DeliveryState.UNDELIVERABLE, DeliveryState.PENDING
        values = {"attempts": 0, "asked_at": now, "next_attempt_at": now, "reason": None, "status": None}
        return len(transition(conn, DELIVERY, Move.REQUEUE, *where, source=source, target=target, now=now, values=values))
