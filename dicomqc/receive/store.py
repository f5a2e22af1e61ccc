"""One received object's way to durability: identify, agree, digest, commit, record (I1–I4). Knows no network library.

When `store` returns, the object is on the disk and in the ledger; when it raises, the temporary is the caller's to remove.
"""

from dataclasses import dataclass
from pathlib import Path

from dicomqc import crashpoints
from dicomqc.core.errors import IntegrityError, OutOfResources, Refused
from dicomqc.core.identifiers import is_valid_uid
from dicomqc.core.instance import ReceivedInstance, RevisionNote, StoredInstance
from dicomqc.core.intake import Intake, Recorded
from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import SpoolOptions
from dicomqc.ledger import instances
from dicomqc.ledger.engine import Ledger
from dicomqc.receive import revision
from dicomqc.receive.identify import Identifiers, identify
from dicomqc.receive.status import Reason
from dicomqc.spool import capacity, layout, read, write
from dicomqc.spool.read import DatasetLocation

_BYTES_IN_DOUBT = (InstanceState.PURGED, InstanceState.QUARANTINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A C-STORE request whose data set lies in `temporary`, a Part 10 file on the spool's volume.

    The UIDs are those of the command set; `data_bytes` counts what came over the wire, null where nobody counted.
    """

    temporary: Path
    sop_class_uid: str
    sop_instance_uid: str
    data_bytes: int | None
    calling_ae: str
    peer: str
    association_id: int | None


def store(arrival: Arrival, ledger: Ledger, spool: SpoolOptions) -> Recorded:
    """Store one object durably. Raises Refused, Unavailable, IntegrityError or OSError: `receive.status` reads them."""
    if capacity.level(spool.root, spool.min_free_bytes) > capacity.Level.OK:
        raise OutOfResources("the spool's volume is below its minimum of free space", reason=Reason.NO_SPACE)
    location = read.locate(arrival.temporary)
    if arrival.data_bytes is not None and location.length != arrival.data_bytes:
        raise Refused("not every received byte is in the file", reason=Reason.INCOMPLETE)
    if not is_valid_uid(arrival.sop_instance_uid):
        raise Refused("the SOP Instance UID of the command set breaks PS3.5 9.1", reason=Reason.INVALID_SOP_INSTANCE_UID)
    ids = identify(arrival.temporary, location)
    _agree(arrival, ids)
    digest = read.digest(arrival.temporary, location)
    return _keep(arrival, ids, location, digest, ledger, spool.root)


def received(ids: Identifiers, location: DatasetLocation, digest: str, arrival: Arrival) -> ReceivedInstance:
    """The value that the ledger records."""
    return ReceivedInstance(
        sop_instance_uid=ids.sop_instance_uid,
        sop_class_uid=ids.sop_class_uid,
        study_instance_uid=ids.study_instance_uid,
        series_instance_uid=ids.series_instance_uid,
        transfer_syntax_uid=location.transfer_syntax_uid,
        digest=digest,
        path=layout.relative_path(digest),
        size_bytes=location.length,
        calling_ae=arrival.calling_ae,
        peer=arrival.peer,
        association_id=arrival.association_id,
    )


def _keep(arrival: Arrival, ids: Identifiers, location: DatasetLocation, digest: str, ledger: Ledger, root: Path) -> Recorded:
    revisions = instances.held(ledger, ids.sop_instance_uid)
    with write.holding(root, digest):
        same = next((row for row in revisions if row.digest == digest), None)
        if same is not None and _is_held(same, root):
            return Recorded(instance=same, intake=Intake.DUPLICATE)
        note = None if same is not None else note_of(revisions, arrival.temporary, root)
        write.commit(root, arrival.temporary, digest)
        recorded = instances.record(ledger, received(ids, location, digest, arrival), revision_note=note)
        crashpoints.reach("receive.after_commit", digest)
        return recorded


def _agree(arrival: Arrival, ids: Identifiers) -> None:
    """Command set and data set must speak of the same object (PS3.4 B.2.3: A900)."""
    if ids.sop_class_uid != arrival.sop_class_uid:
        raise Refused("the data set is of another SOP class than the command set", reason=Reason.SOP_CLASS_MISMATCH)
    if ids.sop_instance_uid != arrival.sop_instance_uid:
        raise Refused("the data set is another instance than the command set", reason=Reason.UID_MISMATCH)


def _is_held(row: StoredInstance, root: Path) -> bool:
    """Whether the row's bytes need no second writing: not purged, not in doubt, and the file really is there, in full."""
    if row.state in _BYTES_IN_DOUBT:
        return False
    try:
        location = read.locate(layout.resolve(root, row.path))
    except IntegrityError:
        return False
    return location.length == row.size_bytes


def note_of(revisions: list[StoredInstance], temporary: Path, root: Path) -> RevisionNote | None:
    """How these bytes differ from the first ones still held under the same SOP Instance UID; null where none are."""
    for row in revisions:
        path = layout.resolve(root, row.path)
        if row.state is not InstanceState.PURGED and path.exists():
            return revision.compare(path, temporary)
    return None
