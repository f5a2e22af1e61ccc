"""DCMTK as the sender: every transfer syntax of the shared data is stored as sent, byte for byte (I4)."""

import subprocess
from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info

from dicomqc.core.errors import IntegrityError
from dicomqc.core.options import StorageClasses
from dicomqc.ledger import instances
from dicomqc.spool import read
from tests.support import shared
from tests.support.peers import dcmtk_storescp
from tests.support.receiver import dcmtk, receiver
from tests.support.scu import association, send

pytestmark = pytest.mark.dcmtk

# What to propose besides the uncompressed syntaxes, by the file's own.
PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.5": "-xr",
}
# One of each transfer syntax, encapsulation and byte order.
EXACT = (
    "philips_integris_h_left_75f_15fps.dcm",
    "ge_dl_phantom_im7.dcm",
    "xa1_jpll.dcm",
    "xa1_j2kr.dcm",
    "xa1_jlsl.dcm",
    "xa1_rle.dcm",
    "xa1_jply_12bit.dcm",
    "xa1_unc.dcm",
    "us_cine_30f_jpeg.dcm",
    "us_cine_8f_fragmented_no_bot.dcm",
    "mr_small_bigendian.dcm",
    "mr_small_implicit.dcm",
    "deflated.dcm",
)


def program(name: str) -> str:
    found = dcmtk(name)
    if found is None:
        shared.missing(f"DCMTK's {name}")
    return str(found)


def storescu(port: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("storescu"), "-v", *map(str, arguments[:-1]), "127.0.0.1", str(port), str(arguments[-1])]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def find(name: str) -> Path:
    return shared.require(shared.XA / name if (shared.XA / name).exists() else shared.OTHER / name)


def data_set(path: Path) -> bytes:
    return path.read_bytes()[read.locate(path).offset :]


def test_echoscu(tmp_path: Path) -> None:
    with receiver(tmp_path) as node:
        subprocess.run([program("echoscu"), "-aec", "DICOMQC", "127.0.0.1", str(node.port)], check=True, timeout=60)


@pytest.mark.parametrize("name", EXACT)
def test_i4_what_storescu_sends_is_stored_as_storescp_stores_it_bit_for_bit(tmp_path: Path, name: str) -> None:
    """storescu re-encodes lengths, so the measure is what DCMTK's own storescp +B receives from it."""
    source = find(name)
    syntax = read.locate(source).transfer_syntax_uid
    reference = tmp_path / "reference"
    reference.mkdir()
    with dcmtk_storescp(reference) as port:
        assert storescu(port, "-R", PROPOSE[syntax], source).returncode == 0
    with receiver(tmp_path, storage_classes=StorageClasses.ALL) as node:
        sent = storescu(node.port, "-R", PROPOSE[syntax], source)
        assert sent.returncode == 0, sent.stderr
        (row,) = instances.every_held(node.ledger)
        assert row.transfer_syntax_uid == syntax
        (expected,) = reference.iterdir()
        assert data_set(node.spool.root / row.path) == data_set(expected)


@pytest.mark.parametrize("name", EXACT)
def test_i4_what_is_sent_raw_is_stored_as_it_lies_in_the_file(tmp_path: Path, name: str) -> None:
    source = find(name)
    place = read.locate(source)
    sop_class = str(read_file_meta_info(source).MediaStorageSOPClassUID)
    with receiver(tmp_path, storage_classes=StorageClasses.ALL) as node:
        with association(node.port, ((sop_class, (place.transfer_syntax_uid,)),)) as assoc:
            assert send(assoc, source) == 0x0000
        (row,) = instances.every_held(node.ledger)
        assert data_set(node.spool.root / row.path) == data_set(source)
        assert read.verify(node.spool.root, row.path, row.digest)


def test_a_65_character_sop_instance_uid_is_refused_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    source = shared.require(shared.OTHER / "fuzz_uid_65chars.dcm")
    with receiver(tmp_path, storage_classes=StorageClasses.ALL) as node:
        sent = storescu(node.port, "-R", source)
        assert "0x117" in sent.stdout + sent.stderr
        assert node.objects() == []
        assert list(instances.every_held(node.ledger)) == []


def test_every_shared_file_that_storescu_will_send_is_answered_and_what_was_accepted_is_held(tmp_path: Path) -> None:
    files = sorted([*shared.require(shared.OTHER).glob("*.dcm"), *shared.require(shared.XA).glob("*.dcm")])
    accepted = 0
    with receiver(tmp_path, storage_classes=StorageClasses.ALL) as node:
        for path in files:
            for flag in dict.fromkeys((PROPOSE.get(_syntax(path), "-xe"), "-xe")):
                sent = storescu(node.port, "-R", flag, path)
                accepted += "(Success)" in sent.stdout + sent.stderr
        held = list(instances.every_held(node.ledger))
        assert accepted >= len(held) >= 30
        assert all(read.verify(node.spool.root, row.path, row.digest) for row in held)
        assert len(node.objects()) == len(held)
        assert node.temporaries() == []


def _syntax(path: Path) -> str:
    try:
        return read.locate(path).transfer_syntax_uid
    except IntegrityError:
        return ""
