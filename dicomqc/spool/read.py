"""Reading stored objects without pydicom: where the data set of a Part 10 file begins (PS3.10 section 7.1), and its digest.

Memory stays flat: everything goes through one buffer of 1 MiB.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dicomqc.core.errors import IntegrityError
from dicomqc.core.identifiers import dataset_digest
from dicomqc.spool import layout

BUFFER_BYTES = 1 << 20
_PREAMBLE_BYTES = 128
_META_GROUP = 0x0002
_TRANSFER_SYNTAX = 0x0010
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_MAX_META_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLocation:
    """Where the data set lies in a Part 10 file: `offset` and `length` count bytes."""

    transfer_syntax_uid: str
    offset: int
    length: int


def locate(path: Path) -> DatasetLocation:
    """Find the data set of the Part 10 file at `path`.

    Raises IntegrityError: file_missing where there is no file, digest_mismatch where it is not what this node writes.
    """
    try:
        with path.open("rb") as file:
            transfer_syntax_uid, offset = _skip_meta(file)
            length = file.seek(0, 2) - offset
    except FileNotFoundError:
        raise IntegrityError("the object's file is missing", reason="file_missing") from None
    return DatasetLocation(transfer_syntax_uid=transfer_syntax_uid, offset=offset, length=length)


def chunks(path: Path, location: DatasetLocation | None = None) -> Iterator[memoryview]:
    """The data set's bytes, at most 1 MiB at a time; each view is valid until the next is asked for."""
    place = location or locate(path)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(place.offset)
        while count := file.readinto(buffer):
            yield buffer[:count]


def digest(path: Path, location: DatasetLocation | None = None) -> str:
    """`core.identifiers.dataset_digest` of the file at `path`."""
    place = location or locate(path)
    return dataset_digest(place.transfer_syntax_uid, chunks(path, place))


def verify(root: Path, relative: str, expected: str) -> bool:
    """Whether the stored object's bytes still are those of the digest `expected` (I4); false also where the file is missing."""
    try:
        return digest(layout.resolve(root, relative)) == expected
    except (IntegrityError, OSError):
        return False


def _skip_meta(file: BinaryIO) -> tuple[str, int]:
    head = file.read(_PREAMBLE_BYTES + 4)
    if head[_PREAMBLE_BYTES:] != b"DICM":
        raise _not_ours()
    transfer_syntax_uid = ""
    while True:
        start = file.tell()
        tag = file.read(4)
        if len(tag) < 4 or struct.unpack_from("<H", tag)[0] != _META_GROUP:  # noqa: PLR2004 - a tag has 4 bytes
            break
        value = _meta_value(file)
        if struct.unpack("<HH", tag)[1] == _TRANSFER_SYNTAX:
            transfer_syntax_uid = value.rstrip(b"\0 ").decode("ascii", "replace")
    if not transfer_syntax_uid.isascii() or not transfer_syntax_uid:
        raise _not_ours()
    return transfer_syntax_uid, start


def _meta_value(file: BinaryIO) -> bytes:
    header = file.read(4)
    try:
        vr, length = struct.unpack("<2sH", header)
        if vr in _LONG_VRS:
            (length,) = struct.unpack("<I", file.read(4))
    except struct.error:
        raise _not_ours() from None
    if length > _MAX_META_BYTES:
        raise _not_ours()
    return file.read(length)


def _not_ours() -> IntegrityError:
    return IntegrityError("the object's file has no readable file meta information", reason="digest_mismatch")
