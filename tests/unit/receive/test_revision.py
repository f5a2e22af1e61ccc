from pathlib import Path

import pytest

from dicomqc.core.instance import RevisionNote
from dicomqc.receive import revision
from tests.support.parts import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, element, identifiers, part10, pixels

# The receiver silences pydicom's warnings on damaged input (receive.quiet).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def note(folder: Path, first: bytes, other: bytes, syntax: str = EXPLICIT_LE, other_syntax: str = EXPLICIT_LE) -> RevisionNote:
    a = part10(folder / "a.dcm", first, syntax=syntax)
    return revision.compare(a, part10(folder / "b.dcm", other, syntax=other_syntax))


def test_other_elements_and_the_same_pixels(tmp_path: Path) -> None:
    extra = element(0x00204000, b"LT", b"late")
    assert note(tmp_path, identifiers() + pixels(b"12"), identifiers() + extra + pixels(b"12")) is RevisionNote.ELEMENTS


def test_other_pixels(tmp_path: Path) -> None:
    assert note(tmp_path, identifiers() + pixels(b"1234"), identifiers() + pixels(b"1235")) is RevisionNote.PIXELS
    assert note(tmp_path, identifiers() + pixels(b"1234"), identifiers() + pixels(b"123456")) is RevisionNote.PIXELS
    assert note(tmp_path, identifiers() + pixels(b"1234"), identifiers()) is RevisionNote.PIXELS


def test_the_same_values_in_another_syntax(tmp_path: Path) -> None:
    first = identifiers() + pixels(b"1234")
    other = identifiers(syntax=IMPLICIT_LE) + pixels(b"1234", syntax=IMPLICIT_LE)
    assert note(tmp_path, first, other, other_syntax=IMPLICIT_LE) is RevisionNote.SYNTAX


def test_pixels_are_never_decoded_so_swapped_bytes_count_as_other_pixels(tmp_path: Path) -> None:
    other = identifiers(syntax=EXPLICIT_BE) + pixels(b"2143", syntax=EXPLICIT_BE)
    assert note(tmp_path, identifiers() + pixels(b"1234"), other, other_syntax=EXPLICIT_BE) is RevisionNote.PIXELS


@pytest.mark.parametrize("damage", [b"\xff" * 30, b"\x10\x00\x10\x00SQ\x00\x00\xff\xff\xff\xff" + b"\x01" * 16])
def test_what_cannot_be_parsed_is_the_graver_kind(tmp_path: Path, damage: bytes) -> None:
    assert note(tmp_path, identifiers() + pixels(b"12"), damage) is RevisionNote.PIXELS
    assert note(tmp_path, damage, damage + b"x", DEFLATED, DEFLATED) is RevisionNote.PIXELS


def test_a_header_beyond_the_bound_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "MAX_HEADER_BYTES", 1024)
    big = identifiers() + element(0x00291001, b"OB", bytes(2048)) + pixels(b"12")
    assert note(tmp_path, big, big + element(0x7FE10010, b"LO", b"x ")) is RevisionNote.PIXELS
