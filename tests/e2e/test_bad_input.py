"""Every odd and broken file over the wire: an answer for each, nothing accepted is lost, the node lives on."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from dicomqc.ledger import instances
from dicomqc.send.association import Association, AssociationFailed, Peer
from dicomqc.send.echo import echo
from dicomqc.spool import read
from tests.support.nodes import Node, dataset_bytes
from tests.support.shared import OTHER, require
from tests.support.waiting import until

SECONDARY_CAPTURE, IMPLICIT_LE = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2"
REFUSED = -1


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.filterwarnings("ignore:The value length")
def test_every_odd_file_gets_an_answer_and_every_accepted_one_a_verdict_with_a_reason(tmp_path: Path) -> None:
    files = sorted(p for p in require(OTHER).iterdir() if p.suffix == ".dcm")
    node = Node(tmp_path, receive={"storage_classes": "all"})
    with node.serve() as running:
        port = running.port or 0
        statuses = {file.name: _store(port, file, number) for number, file in enumerate(files)}
        accepted = {name for name, status in statuses.items() if status == 0x0000}
        assert len(accepted) >= 25, statuses
        assert statuses["fuzz_uid_65chars.dcm"] != 0x0000
        until(lambda: all(r.state == "judged" for r in node.records().values()), "verdicts", seconds=90)
        assert echo("DICOMQC", "127.0.0.1", port, "TEST", 5.0).status == 0x0000
        with node.ledger() as ledger:
            held = list(instances.every_held(ledger))
    assert len({i.digest for i in held}) == len(held)
    # Some files hold the same SOP Instance UID: those are revisions of one another.
    assert len(held) == len(accepted)
    assert all(read.verify(tmp_path / "spool", i.path, i.digest) for i in held)
    assert {r.outcome for r in node.records().values()} == {"ineligible"}
    assert all(r.reason for r in node.records().values())
    log = node.log.read_text()
    assert "Traceback" not in log
    assert not [name for name in _patient_names(files) if name in log]


def _store(port: int, file: Path, number: int) -> int:
    """Send what follows group 0002, whatever it is; a file without file meta goes as Implicit LE Secondary Capture."""
    try:
        meta = pydicom.filereader.read_file_meta_info(file)
        pair = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        uid, data = str(meta.MediaStorageSOPInstanceUID), dataset_bytes(file)
    except (pydicom.errors.InvalidDicomError, AttributeError, AssertionError):
        pair, uid, data = (SECONDARY_CAPTURE, IMPLICIT_LE), f"1.2.3.{number}", file.read_bytes()
    peer = Peer(host="127.0.0.1", port=port, called_ae="DICOMQC", calling_ae="FUZZ")
    try:
        with Association.request(peer, [pair], timeout_seconds=20.0, cancelled=lambda: False) as assoc:
            if pair not in assoc.accepted:
                return REFUSED
            return assoc.store(pair, uid, _fragments(data, assoc.fragment_bytes))
    except AssociationFailed:
        return REFUSED


def _fragments(data: bytes, size: int) -> Iterator[tuple[memoryview, bool]]:
    view = memoryview(data)
    for start in range(0, max(len(data), 1), size):
        yield view[start : start + size], start + size >= len(data)


def _patient_names(files: list[Path]) -> set[str]:
    found = set()
    for file in files:
        try:
            ds = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            found |= {str(ds.get(key, "")) for key in ("PatientName", "PatientID")}
        except (ValueError, OSError, AttributeError, NotImplementedError, RecursionError):
            continue
    # A short or numeric identifier also occurs in times and counts, where it tells nobody anything.
    return {name for name in found if len(name) > 3 and any(c.isalpha() for c in name)}
