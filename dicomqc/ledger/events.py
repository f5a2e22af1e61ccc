"""The one way a row changes state: by a move of `core.lifecycle`, with one row of `events` for each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from dicomqc.core import lifecycle
from dicomqc.core.lifecycle import Move
from dicomqc.ledger import tables


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of row that has states: its name in `events`, its table, its moves."""

    name: str
    table: sa.Table
    moves: Mapping[Move, Mapping[Any, frozenset[Any]]]


INSTANCE = Subject("instance", tables.instances, lifecycle.INSTANCE_MOVES)
SERIES = Subject("series", tables.series, lifecycle.SERIES_MOVES)
DELIVERY = Subject("delivery", tables.deliveries, lifecycle.DELIVERY_MOVES)


def transition(
    conn: sa.Connection,
    subject: Subject,
    move: Move,
    *where: sa.ColumnElement[bool],
    source: StrEnum,
    target: StrEnum,
    now: datetime,
    values: Mapping[str, Any] | None = None,
    detail: str | None = None,
) -> list[int]:
    """Move every row that is in `source` and matches `where` to `target`; returns their ids, in no order.

    Raises ValueError for a move that `core.lifecycle` does not know: a mistake in the code, never in the data.
    """
    if target not in subject.moves.get(move, {}).get(source, frozenset()):
        raise ValueError(f"no move {move} of {subject.name} from {source} to {target}")
    table = subject.table
    statement = (
        sa.update(table).where(table.c.state == source, *where).values(state=target, **(values or {})).returning(table.c.id)
    )
    ids = list(conn.execute(statement).scalars())
    record(conn, subject, move, ids, source=source, target=target, now=now, detail=detail)
    return ids


def record(
    conn: sa.Connection,
    subject: Subject,
    move: Move,
    ids: Collection[int],
    *,
    source: StrEnum | None,
    target: StrEnum,
    now: datetime,
    detail: str | None = None,
) -> None:
    """Write one event for each id."""
    if ids:
        row = {"at": now, "subject": subject.name, "move": move, "source": source, "target": target, "detail": detail}
        conn.execute(sa.insert(tables.events), [{**row, "subject_id": i} for i in ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of `events`."""

    at: datetime
    subject: str
    subject_id: int
    move: str
    source: str | None
    target: str
    detail: str | None


def of(conn: sa.Connection, subject: Subject, ids: Sequence[int]) -> list[Event]:
    """The history of some rows of one subject, oldest first."""
    t = tables.events
    rows = conn.execute(sa.select(t).where(t.c.subject == subject.name, t.c.subject_id.in_(ids)).order_by(t.c.id))
    return [
        Event(
            at=r.at, subject=r.subject, subject_id=r.subject_id, move=r.move, source=r.source, target=r.target, detail=r.detail
        )
        for r in rows
    ]
