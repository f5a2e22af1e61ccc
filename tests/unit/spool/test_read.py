import hashlib
from pathlib import Path

import pytest

from dicomqc.core.errors import IntegrityError
from dicomqc.spool import layout, read
from tests.support.parts import EXPLICIT_LE, IMPLICIT_LE, identifiers, part10


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_the_data_set_is_found_behind_the_file_meta(tmp_path: Path, syntax: str) -> None:
    dataset = identifiers(syntax=syntax)
    path = part10(tmp_path / "a.dcm", dataset, syntax=syntax)
    location = read.locate(path)
    assert location.transfer_syntax_uid == syntax
    assert location.length == len(dataset)
    assert path.read_bytes()[location.offset :] == dataset


def test_i4_the_digest_covers_transfer_syntax_and_data_set_only(tmp_path: Path) -> None:
    dataset = identifiers() + bytes(3 * read.BUFFER_BYTES // 2)
    expected = hashlib.sha256(EXPLICIT_LE.encode() + b"\0" + dataset).hexdigest()
    assert read.digest(part10(tmp_path / "a.dcm", dataset)) == expected
    assert read.digest(part10(tmp_path / "b.dcm", dataset, instance="9.9")) == expected
    assert read.digest(part10(tmp_path / "c.dcm", dataset, syntax=IMPLICIT_LE)) != expected


def test_chunks_are_the_bytes_in_pieces_of_a_mebibyte(tmp_path: Path) -> None:
    dataset = bytes(range(256)) * 8200
    path = part10(tmp_path / "a.dcm", dataset)
    pieces = [bytes(piece) for piece in read.chunks(path)]
    assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, len(dataset) - (2 << 20)]
    assert b"".join(pieces) == dataset


def test_i4_verify_says_no_to_one_changed_byte_and_to_a_missing_file(tmp_path: Path) -> None:
    path = part10(tmp_path / "a.dcm", identifiers())
    digest = read.digest(path)
    relative = layout.relative_path(digest)
    assert not read.verify(tmp_path, relative, digest)
    final = part10(tmp_path / relative, identifiers())
    assert read.verify(tmp_path, relative, digest)
    content = bytearray(final.read_bytes())
    content[-1] ^= 1
    final.write_bytes(content)
    assert not read.verify(tmp_path, relative, digest)


@pytest.mark.parametrize(
    "content", [b"", b"DICM", bytes(132), bytes(128) + b"DICM", bytes(128) + b"DICM\x02\x00\x10\x00UI\xff"]
)
def test_what_is_not_part_10_is_an_integrity_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as error:
        read.locate(path)
    assert error.value.reason == "digest_mismatch"


def test_a_missing_file_has_its_own_reason(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError) as error:
        read.locate(tmp_path / "none")
    assert error.value.reason == "file_missing"
