"""Receipt: what the receiver may acknowledge is what this module has committed (I1, I3)."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as DuplicateRow

from dicomqc.core.cine import Failure
from dicomqc.core.errors import Unavailable
from dicomqc.core.instance import ReceivedInstance, RevisionNote, StoredInstance
from dicomqc.core.intake import Intake, Recorded
from dicomqc.core.lifecycle import InstanceState, Move, SeriesState
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import INSTANCE, SERIES, transition
from dicomqc.ledger.events import record as record_event

_t = tables.instances
_RACES = 5
BROKEN_BYTES = (Failure.DIGEST_MISMATCH, Failure.FILE_MISSING)


def stored(row: sa.Row[Any]) -> StoredInstance:
    """A row of `instances` as a value."""
    return StoredInstance(
        id=row.id,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        digest=row.digest,
        path=row.path,
        size_bytes=row.size_bytes,
        calling_ae=row.calling_ae,
        revision=row.revision,
        revision_note=None if row.revision_note is None else RevisionNote(row.revision_note),
        state=InstanceState(row.state),
        reason=row.reason,
        attempts=row.attempts,
        received_at=row.received_at,
    )


def held(ledger: Ledger, sop_instance_uid: str) -> list[StoredInstance]:
    """Every revision recorded under a SOP Instance UID, oldest first; purged ones too."""
    with ledger.read() as conn:
        return [
            stored(r) for r in conn.execute(sa.select(_t).where(_t.c.sop_instance_uid == sop_instance_uid).order_by(_t.c.id))
        ]


def get(ledger: Ledger, instance_id: int) -> StoredInstance | None:
    """One instance by its row id."""
    with ledger.read() as conn:
        row = conn.execute(sa.select(_t).where(_t.c.id == instance_id)).one_or_none()
    return None if row is None else stored(row)


def by_digest(ledger: Ledger, digests: Sequence[str]) -> dict[str, StoredInstance]:
    """The instances that some digests name."""
    with ledger.read() as conn:
        return {r.digest: stored(r) for r in conn.execute(sa.select(_t).where(_t.c.digest.in_(digests)))}


def every_held(ledger: Ledger, *, chunk: int = 1000) -> Iterator[StoredInstance]:
    """Every instance whose bytes should lie in the spool (I2), in chunks, so that no transaction stays open between them."""
    last = 0
    while True:
        with ledger.read() as conn:
            rows = conn.execute(
                sa.select(_t).where(_t.c.id > last, _t.c.state != InstanceState.PURGED).order_by(_t.c.id).limit(chunk)
            ).all()
        yield from map(stored, rows)
        if len(rows) < chunk:
            return
        last = rows[-1].id


def record(ledger: Ledger, received: ReceivedInstance, *, revision_note: RevisionNote | None) -> Recorded:
    """Commit the receipt of one durable object; repeating it changes nothing (I3). Raises Unavailable.

    A new instance opens or re-opens its series (I14). Purged or broken bytes that are held again bring the row back.
    """
    for _ in range(_RACES):
        try:
            with ledger.write() as conn:
                return _record(conn, received, revision_note, ledger.now(conn))
        except DuplicateRow:
            # Another association committed the same key or the same series between our look and our insert: look again.
            continue
    raise Unavailable("the ledger could not settle a race between associations")


def _record(conn: sa.Connection, received: ReceivedInstance, note: RevisionNote | None, now: datetime) -> Recorded:
    revisions = conn.execute(sa.select(_t).where(_t.c.sop_instance_uid == received.sop_instance_uid).order_by(_t.c.id)).all()
    same = next((r for r in revisions if r.digest == received.digest), None)
    if same is None:
        series_id = _open_series(conn, received, now)
        row = conn.execute(
            sa.insert(_t).values(**_values(received, series_id, len(revisions) + 1, note, now)).returning(_t)
        ).one()
        record_event(conn, INSTANCE, Move.RECEIVE, [row.id], source=None, target=InstanceState.RECEIVED, now=now, detail=note)
        return Recorded(instance=stored(row), intake=Intake.REVISION if revisions else Intake.NEW)
    intake = _hold_again(conn, same, received, now)
    row = conn.execute(sa.select(_t).where(_t.c.id == same.id)).one()
    return Recorded(instance=stored(row), intake=intake)


def _hold_again(conn: sa.Connection, row: sa.Row[Any], received: ReceivedInstance, now: datetime) -> Intake:
    state = InstanceState(row.state)
    reason = None
    if state is InstanceState.PURGED:
        v = tables.verdicts
        judged = conn.execute(sa.select(v.c.reason).where(v.c.instance_id == row.id).order_by(v.c.id.desc()).limit(1)).first()
        move, target = Move.RESEND, InstanceState.RECEIVED if judged is None else InstanceState.JUDGED
        reason = None if judged is None else judged.reason
    elif state is InstanceState.QUARANTINED and row.reason in BROKEN_BYTES:
        move, target = Move.REQUEUE, InstanceState.RECEIVED
    else:
        return Intake.DUPLICATE
    values = {"path": received.path, "reason": reason, "attempts": 0, "next_attempt_at": now, "purged_at": None}
    # The series first, as everybody locks them: a settling or a requeue of the same series waits, and nobody deadlocks.
    _open_series(conn, received, now)
    moved = transition(
        conn, INSTANCE, move, _t.c.id == row.id, source=state, target=target, now=now, values=values, detail="bytes again"
    )
    return Intake.RESENT if moved else Intake.DUPLICATE


def _open_series(conn: sa.Connection, received: ReceivedInstance, now: datetime) -> int:
    s = tables.series
    # The row lock that this update takes keeps a settling of the same series on PostgreSQL before or after us, never between.
    found: int | None = conn.execute(
        sa.update(s)
        .where(s.c.series_instance_uid == received.series_instance_uid)
        .values(last_received_at=now)
        .returning(s.c.id)
    ).scalar_one_or_none()
    if found is not None:
        transition(
            conn,
            SERIES,
            Move.REOPEN,
            s.c.id == found,
            source=SeriesState.SETTLED,
            target=SeriesState.OPEN,
            now=now,
            values={"settled_at": None},
        )
        return found
    series_id: int = conn.execute(
        sa.insert(s)
        .values(
            series_instance_uid=received.series_instance_uid,
            study_instance_uid=received.study_instance_uid,
            state=SeriesState.OPEN,
            opened_at=now,
            last_received_at=now,
        )
        .returning(s.c.id)
    ).scalar_one()
    record_event(conn, SERIES, Move.OPEN, [series_id], source=None, target=SeriesState.OPEN, now=now)
    return series_id


def _values(
    received: ReceivedInstance, series_id: int, revision: int, note: RevisionNote | None, now: datetime
) -> dict[str, Any]:
    return {
        "series_id": series_id,
        "association_id": received.association_id,
        "sop_instance_uid": received.sop_instance_uid,
        "sop_class_uid": received.sop_class_uid,
        "study_instance_uid": received.study_instance_uid,
        "series_instance_uid": received.series_instance_uid,
        "transfer_syntax_uid": received.transfer_syntax_uid,
        "digest": received.digest,
        "path": received.path,
        "size_bytes": received.size_bytes,
        "calling_ae": received.calling_ae,
        "peer": received.peer,
        "revision": revision,
        "revision_note": note,
        "received_at": now,
        "state": InstanceState.RECEIVED,
        "attempts": 0,
        "suspect": False,
        "claimed_alone": False,
        "next_attempt_at": now,
    }
