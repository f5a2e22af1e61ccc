"""The send stage in tests: objects in a real spool and ledger, options for real peers, and waiting until something holds."""

import itertools
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from dicomqc.core.identifiers import dataset_digest
from dicomqc.core.instance import ReceivedInstance, StoredInstance
from dicomqc.core.options import Destination, RetryOptions, SendOptions
from dicomqc.core.verdict import Mode
from dicomqc.ledger import instances, tables
from dicomqc.ledger.engine import Ledger
from dicomqc.send.forwarder import run_send
from dicomqc.spool import read, write
from tests.support.facts import AT_ONCE, EXPLICIT_LE, XA
from tests.support.ledgers import judge_all

QUICK = RetryOptions(first_seconds=0.1, max_hours=1.0)
_numbers = itertools.count(1)


def small_object(*, size: int = 64, sop_class: str = XA, transfer_syntax: str = EXPLICIT_LE) -> tuple[bytes, Dataset]:
    """A Part 10 file of an object with `size` private bytes, and its data set."""
    number = next(_numbers)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.3.4.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    ds.private_block(0x0029, "DICOMQC TEST", create=True).add_new(
        0x01, "OB", bytes(range(256)) * (size // 256) + bytes(size % 256)
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    buffer = DicomBytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue(), ds


class Outbox:
    """A ledger and a spool that hold objects as the receiver leaves them."""

    def __init__(self, ledger: Ledger, root: Path) -> None:
        self.ledger = ledger
        self.root = root

    def add(self, part10: bytes, *, series: str | None = None) -> StoredInstance:
        """Store and record one object, not yet judged."""
        with write.Incoming(self.root) as incoming:
            temporary = incoming.path / "object"
            temporary.write_bytes(part10)
            with warnings.catch_warnings(action="ignore"):  # real headers are untidy
                ds = dcmread(temporary, force=True, stop_before_pixels=True)
            place = read.locate(temporary)
            data = part10[place.offset :]
            digest = dataset_digest(place.transfer_syntax_uid, [data])
            with write.holding(self.root, digest):
                path = write.commit(self.root, temporary, digest)
                received = ReceivedInstance(
                    sop_instance_uid=str(ds.SOPInstanceUID),
                    sop_class_uid=str(ds.SOPClassUID),
                    study_instance_uid=str(ds.get("StudyInstanceUID", "1.2.3.5")),
                    series_instance_uid=series or str(ds.get("SeriesInstanceUID", "1.2.3.6")),
                    transfer_syntax_uid=place.transfer_syntax_uid,
                    digest=digest,
                    path=path,
                    size_bytes=len(data),
                    calling_ae="CATHLAB",
                    peer="127.0.0.1",
                    association_id=None,
                )
                return instances.record(self.ledger, received, revision_note=None).instance

    def judge(self) -> None:
        """Give everything that waits a satisfactory verdict."""
        judge_all(self.ledger)

    def states(self, destination: str | None = None) -> list[str]:
        """The deliveries' states, in order of asking."""
        return [row.state for row in self.deliveries(destination)]

    def instance_state(self, instance_id: int) -> tuple[str, str | None]:
        """An instance's state and reason."""
        row = instances.get(self.ledger, instance_id)
        assert row is not None
        return row.state, row.reason

    def deliveries(self, destination: str | None = None) -> Sequence[sa.Row[tuple[object, ...]]]:
        """The deliveries' rows, in order of asking."""
        t = tables.deliveries
        wanted = sa.select(t).order_by(t.c.id)
        with self.ledger.read() as conn:
            return conn.execute(wanted if destination is None else wanted.where(t.c.destination == destination)).all()


def options(*destinations: Destination, timeout_seconds: float = 5.0, retention_days: float | None = None) -> SendOptions:
    """Send options that settle at once and retry quickly."""
    return SendOptions(
        calling_ae="DICOMQC",
        mode=Mode.OBSERVE,
        series=AT_ONCE,
        destinations=destinations,
        retry=QUICK,
        revisions="hold",
        network_timeout_seconds=timeout_seconds,
        retention_days=retention_days,
    )


def to(port: int, name: str = "pacs", ae_title: str = "PACS") -> Destination:
    """A destination on this machine."""
    return Destination(name=name, ae_title=ae_title, host="127.0.0.1", port=port, decompress=False)


@contextmanager
def forwarding(outbox: Outbox, chosen: SendOptions) -> Iterator[threading.Event]:
    """Run the send stage in a thread; it must end within its ten seconds."""
    stop = threading.Event()
    thread = threading.Thread(target=run_send, args=(outbox.ledger, chosen, outbox.root, stop, "test"))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(12)
        assert not thread.is_alive()
