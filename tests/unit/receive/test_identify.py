import struct
import zlib
from pathlib import Path

import pytest

from dicomqc.core.errors import Refused
from dicomqc.receive import identify
from dicomqc.receive.identify import Identifiers
from dicomqc.spool import read
from tests.support.parts import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    XA,
    element,
    identifiers,
    part10,
    pixels,
)

# The receiver silences pydicom's warnings on damaged input (receive.quiet).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FOUND = Identifiers(sop_class_uid=XA, sop_instance_uid="1.2.3.1", study_instance_uid="1.2.3", series_instance_uid="1.2.3.0")


def look(folder: Path, dataset: bytes, syntax: str = EXPLICIT_LE) -> Identifiers:
    path = part10(folder / "a.dcm", dataset, syntax=syntax)
    return identify.identify(path, read.locate(path))


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_the_identifiers_are_read_in_every_encoding(tmp_path: Path, syntax: str) -> None:
    dataset = identifiers(syntax=syntax) + pixels(bytes(64), syntax=syntax)
    assert look(tmp_path, dataset, syntax) == FOUND


def test_a_deflated_data_set_is_inflated_only_as_far_as_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(tmp_path, deflated(identifiers()), DEFLATED) == FOUND
    monkeypatch.setattr(identify, "MAX_INFLATED_HEADER_BYTES", 4096)
    bomb = deflated(element(0x00080001, b"OB", bytes(1 << 22)) + identifiers())
    assert len(bomb) < 8192
    with pytest.raises(Refused) as refused:
        look(tmp_path, bomb, DEFLATED)
    assert refused.value.reason == "unparseable"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"study": ""}, "missing_identifier"),
        ({"series": ""}, "missing_identifier"),
        ({"instance": ""}, "missing_identifier"),
        ({"instance": "1." + "2" * 63}, "invalid_sop_instance_uid"),
        ({"instance": "../../etc/passwd"}, "invalid_sop_instance_uid"),
        ({"series": "1.2.a"}, "invalid_uid"),
        ({"study": "1..2"}, "invalid_uid"),
        ({"sop_class": "1.2\\1.3"}, "invalid_uid"),
        ({"study": "", "series": "", "instance": "", "sop_class": ""}, "unparseable"),
    ],
)
def test_a_missing_or_malformed_identifier_is_a_refusal_with_its_own_reason(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        look(tmp_path, identifiers(**changes))
    assert refused.value.reason == reason


def test_a_refusal_says_nothing_of_the_patient(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        look(tmp_path, identifiers(instance="1.2.777." + "9" * 60))
    assert "777" not in str(refused.value)
    assert "DOE" not in str(refused.value)


def test_deep_nesting_is_a_refusal_and_no_traceback(tmp_path: Path) -> None:
    nest = element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(Refused) as refused:
        look(tmp_path, identifiers(study="", series="") + nest * 3000)
    assert refused.value.reason == "unparseable"


def test_a_uid_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    lie = element(0x00080018, b"UN", b"1.2", length=0x7FFFFFFF)
    with pytest.raises(Refused) as refused:
        look(tmp_path, lie)
    assert refused.value.reason == "unparseable"


def test_nothing_behind_the_series_is_looked_at(tmp_path: Path) -> None:
    assert look(tmp_path, identifiers() + element(0x00280010, b"US", b"", length=60000) + b"\xff" * 40) == FOUND
