"""What may leave the disk: bytes whose every delivery has ended and whose retention has passed (I11). Facts stay."""

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa

from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import DeliveryState, InstanceState, Move, SeriesState
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import INSTANCE, transition
from dicomqc.ledger.instances import stored

_i, _d, _s = tables.instances, tables.deliveries, tables.series
_AT_REST = (InstanceState.JUDGED, InstanceState.QUARANTINED)


def purgeable(ledger: Ledger, *, retention_days: float, limit: int, after: int = 0) -> list[StoredInstance]:
    """Judged instances of settled series, received more than `retention_days` ago, all of whose deliveries arrived.

    Quarantined and undeliverable bytes are never among them: those go only by an explicit purge. Raises Unavailable.
    """
    with ledger.read() as conn:
        before = ledger.now(conn) - timedelta(days=retention_days)
        wanted = sa.exists().where(_d.c.instance_id == _i.c.id, _d.c.state != DeliveryState.DELIVERED)
        rows = conn.execute(
            sa.select(_i)
            .join(_s, _s.c.id == _i.c.series_id)
            .where(
                _i.c.id > after,
                _i.c.state == InstanceState.JUDGED,
                _i.c.received_at < before,
                _s.c.state == SeriesState.SETTLED,
                ~wanted,
            )
            .order_by(_i.c.id)
            .limit(limit)
        )
        return [stored(r) for r in rows]


def mark_purged(ledger: Ledger, instance_ids: Collection[int]) -> list[int]:
    """Say that the bytes are gone before they are: a crash between leaves a file for reconcile, never a false row (I2).

    Instances with a delivery under way, or of a series that may still ask for one, are passed over.
    Returns the ids that moved. Raises Unavailable.
    """
    moved: list[int] = []
    with ledger.write() as conn:
        # Locked as settling locks it, so that no delivery of these bytes is asked for while they go.
        touched = sa.select(_i.c.series_id).where(_i.c.id.in_(instance_ids))
        conn.execute(sa.select(_s.c.id).where(_s.c.id.in_(touched)).order_by(_s.c.id).with_for_update())
        now = ledger.now(conn)
        for source in _AT_REST:
            where, values = _may_go(instance_ids), {"purged_at": now}
            target = InstanceState.PURGED
            moved += transition(conn, INSTANCE, Move.PURGE, *where, source=source, target=target, now=now, values=values)
    return moved


def may_purge(ledger: Ledger, instance_ids: Collection[int]) -> list[int]:
    """The ids that `mark_purged` would move now. Raises Unavailable."""
    with ledger.read() as conn:
        return list(conn.execute(sa.select(_i.c.id).where(_i.c.state.in_(_AT_REST), *_may_go(instance_ids))).scalars())


def _may_go(instance_ids: Collection[int]) -> tuple[sa.ColumnElement[bool], ...]:
    under_way = sa.exists().where(_d.c.instance_id == _i.c.id, _d.c.state.in_((DeliveryState.PENDING, DeliveryState.SENDING)))
    settled = sa.exists().where(_s.c.id == _i.c.series_id, _s.c.state == SeriesState.SETTLED)
    return _i.c.id.in_(instance_ids), ~under_way, settled
