"""Small cines as a receiver leaves them: bytes in the spool, a row in the ledger."""

from pathlib import Path
from typing import Any

from dicomqc.core.instance import ReceivedInstance, StoredInstance
from dicomqc.ledger import instances
from dicomqc.ledger.engine import Ledger
from dicomqc.spool import layout, read
from tests.support.sample_cines import XA, moving_clip, write_cine


def cine(path: Path, number: int = 1, *, frames: int = 48, **attributes: Any) -> Path:
    """A cine with a SOP Instance UID of its own, eligible unless `frames` or `attributes` say otherwise."""
    return write_cine(path, moving_clip(frames, size=40), SOPInstanceUID=f"1.2.3.4.{number}", **attributes)


def receive(ledger: Ledger, root: Path, source: Path, number: int = 1) -> StoredInstance:
    """Move the file `source` into the spool at `root` and record it."""
    location = read.locate(source)
    digest = read.digest(source, location)
    target = root / layout.relative_path(digest)
    layout.make_folder(target.parent)
    source.rename(target)
    received = ReceivedInstance(
        sop_instance_uid=f"1.2.3.4.{number}",
        sop_class_uid=XA,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.1",
        transfer_syntax_uid=location.transfer_syntax_uid,
        digest=digest,
        path=layout.relative_path(digest),
        size_bytes=location.length,
        calling_ae="CATHLAB",
        peer="127.0.0.1",
        association_id=None,
    )
    return instances.record(ledger, received, revision_note=None).instance


def receive_cines(ledger: Ledger, root: Path, count: int) -> list[StoredInstance]:
    """`count` eligible cines, numbered from 1."""
    return [receive(ledger, root, cine(root.parent / f"{n}.dcm", n), n) for n in range(1, count + 1)]
