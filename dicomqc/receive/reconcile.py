"""Joining spool and ledger after a crash (I2): orphans are adopted and never removed, purges are finished, gaps are reported.

May run beside a live receiver: what is younger than the grace period, or owned by a live process, is left alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dicomqc.core.errors import IntegrityError, Refused
from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import instances
from dicomqc.ledger.engine import Ledger
from dicomqc.receive import store
from dicomqc.receive.identify import identify
from dicomqc.spool import layout, read, sweep, write
from dicomqc.spool.sweep import Found

GRACE_SECONDS = 60.0
_BATCH = 500
_NOBODY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What one pass found and did.

    `adopted`: orphans that now have a row. `missing`: ids of rows whose file is not there. `leftovers_removed`: files of
    purged rows. `temporaries_removed`: of dead owners. `young`: orphans within the grace period. `unknown`: paths of files that
    are not what their name says, or that hold no usable object; they are left alone.
    """

    adopted: int
    missing: tuple[int, ...]
    leftovers_removed: int
    temporaries_removed: int
    young: int
    unknown: tuple[str, ...]


def reconcile(ledger: Ledger, root: Path, *, grace_seconds: float, now: float) -> ReconcileReport:
    """Compare the spool at `root` with the ledger and mend what can be mended; `now` is seconds since 1970.

    Raises Unavailable (the pass may be repeated) and OSError.
    """
    temporaries = sweep.remove_dead_temporaries(root)
    adopted = leftovers = young = 0
    unknown: list[str] = []
    for found, row in _with_rows(ledger, sweep.objects(root)):
        if found.digest is None:
            unknown.append(found.path)
        elif row is not None and row.state is not InstanceState.PURGED:
            continue
        elif now - found.modified < grace_seconds:
            young += row is None
        elif row is not None:
            leftovers += _finish_purge(ledger, root, row)
        elif _adopt(ledger, root, found.path, found.digest):
            adopted += 1
        else:
            unknown.append(found.path)
    return ReconcileReport(
        adopted=adopted,
        missing=tuple(_missing(ledger, root)),
        leftovers_removed=leftovers,
        temporaries_removed=temporaries,
        young=young,
        unknown=tuple(unknown),
    )


def _with_rows(ledger: Ledger, files: Iterable[Found]) -> Iterator[tuple[Found, StoredInstance | None]]:
    source = iter(files)
    while batch := list(islice(source, _BATCH)):
        rows = instances.by_digest(ledger, [found.digest for found in batch if found.digest is not None])
        yield from ((found, rows.get(found.digest or "")) for found in batch)


def _finish_purge(ledger: Ledger, root: Path, row: StoredInstance) -> bool:
    def still_purged() -> bool:
        current = instances.get(ledger, row.id)
        return current is not None and current.state is InstanceState.PURGED

    return sweep.remove_object(root, layout.relative_path(row.digest), confirm=still_purged)


def _adopt(ledger: Ledger, root: Path, relative: str, digest: str) -> bool:
    """Give an orphan its row, if it is what its name says; who sent it is no longer known."""
    path = layout.resolve(root, relative)
    try:
        location = read.locate(path)
        if read.digest(path, location) != digest:
            return False
        ids = identify(path, location)
    except (IntegrityError, Refused, FileNotFoundError):
        return False
    arrival = store.Arrival(
        temporary=path,
        sop_class_uid=ids.sop_class_uid,
        sop_instance_uid=ids.sop_instance_uid,
        data_bytes=location.length,
        calling_ae=_NOBODY,
        peer=_NOBODY,
        association_id=None,
    )
    with write.holding(root, digest):
        note = store.note_of(instances.held(ledger, ids.sop_instance_uid), path, root)
        # The crash may have come before the name was durable: a row must not outlive its file.
        layout.sync_folder(path.parent)
        instances.record(ledger, store.received(ids, location, digest, arrival), revision_note=note)
    return True


def _missing(ledger: Ledger, root: Path) -> Iterator[int]:
    for row in instances.every_held(ledger):
        if (root / row.path).exists():
            continue
        # Purged since the listing began? Then the file went after the row, as it should.
        current = instances.get(ledger, row.id)
        if current is not None and current.state is not InstanceState.PURGED and not (root / current.path).exists():
            yield row.id
