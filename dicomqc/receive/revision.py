"""How two objects under one SOP Instance UID differ (I3): in syntax only, in elements, or in pixels; the graver when unsure.

Pixels are compared as bytes, in pieces of 1 MiB, and never decoded: a compressed copy of native pixels counts as other pixels.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from dicomqc.core.instance import RevisionNote
from dicomqc.receive.contexts import DEFLATED, EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from dicomqc.receive.identify import PARSE_ERRORS, is_trouble_of_the_disk
from dicomqc.spool import read
from dicomqc.spool.read import DatasetLocation

_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OW", b"UN"})
MAX_HEADER_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A data set's elements before its pixel data, and where the pixel data's value and all that follows it lie."""

    header: Dataset
    pixels: DatasetLocation


def compare(first: Path, other: Path) -> RevisionNote:
    """Say how `other` differs from `first`, both Part 10 files of one SOP Instance UID and of different digests.

    What cannot be parsed, is deflated, or has a header above 32 MiB is not looked into: PIXELS, so that a person looks.
    Raises OSError of the disk and IntegrityError where one is not a Part 10 file.
    """
    try:
        a, b = _split(first), _split(other)
        if not _same_bytes(first, a.pixels, other, b.pixels):
            return RevisionNote.PIXELS
        return RevisionNote.SYNTAX if a.header == b.header else RevisionNote.ELEMENTS
    except PARSE_ERRORS as error:
        if is_trouble_of_the_disk(error):
            raise
        return RevisionNote.PIXELS


def _split(path: Path) -> _Parts:
    location = read.locate(path)
    syntax = location.transfer_syntax_uid
    if syntax == DEFLATED:
        raise ValueError("deflated")
    stop = _Stop(location.offset + MAX_HEADER_BYTES)
    with path.open("rb") as file:
        file.seek(location.offset)
        stop.tell = file.tell
        header = read_dataset(file, syntax == IMPLICIT_LITTLE_ENDIAN, syntax != EXPLICIT_BIG_ENDIAN, stop_when=stop)
        start = file.tell()
        if stop.at_pixels:
            start += _header_bytes(file.read(8), implicit=syntax == IMPLICIT_LITTLE_ENDIAN)
    end = location.offset + location.length
    return _Parts(header=header, pixels=DatasetLocation(transfer_syntax_uid=syntax, offset=start, length=max(end - start, 0)))


class _Stop:
    """Stops the parser at the pixel data, and gives up on a header that would not fit in memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.at_pixels = False
        self.tell: Callable[[], int] = int

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        if int(tag) in _PIXEL_DATA:
            self.at_pixels = True
            return True
        if self.tell() + (0 if length == 0xFFFFFFFF else length) > self.limit:  # noqa: PLR2004 - undefined length, PS3.5 7.1.1
            raise ValueError("header too long")
        return False


def _header_bytes(head: bytes, *, implicit: bool) -> int:
    """Bytes of tag, VR and length before the pixel data's value (PS3.5 section 7.1)."""
    (vr,) = struct.unpack_from("2s", head, 4)
    return 12 if not implicit and vr in _LONG_VRS else 8


def _same_bytes(first: Path, a: DatasetLocation, other: Path, b: DatasetLocation) -> bool:
    if a.length != b.length:
        return False
    pairs = zip_longest(read.chunks(first, a), read.chunks(other, b))
    return all(x == y for x, y in pairs)
