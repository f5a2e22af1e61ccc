"""Retention: the bytes of what was delivered long ago leave the spool, the row first and the file after (I2, I11)."""

from pathlib import Path

import structlog

from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import instances, retention
from dicomqc.ledger.engine import Ledger
from dicomqc.spool import sweep

log = structlog.get_logger()


def purge(ledger: Ledger, spool_root: Path, *, retention_days: float, limit: int) -> int:
    """Purge at most `limit` instances that retention no longer holds; returns how many rows moved. Raises Unavailable.

    A crash between row and file leaves a file whose row is purged, never a row without its file: reconcile removes it.
    """
    candidates = retention.purgeable(ledger, retention_days=retention_days, limit=limit)
    if not candidates:
        return 0
    purged = set(retention.mark_purged(ledger, [i.id for i in candidates]))
    gone = [i for i in candidates if i.id in purged]
    removed = [i for i in gone if remove_bytes(ledger, spool_root, i)]
    log.info("purged", count=len(removed), bytes=sum(i.size_bytes for i in removed))
    return len(gone)


def remove_bytes(ledger: Ledger, spool_root: Path, instance: StoredInstance) -> bool:
    """Remove the file of a purged instance unless a resend took the row back meanwhile; whether it went. Raises Unavailable."""

    def still_purged() -> bool:
        row = instances.get(ledger, instance.id)
        return row is not None and row.state is InstanceState.PURGED

    return sweep.remove_object(spool_root, instance.path, confirm=still_purged)
