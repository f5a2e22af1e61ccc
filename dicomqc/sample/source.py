"""A DICOM file opened for `sample`: preamble, file meta (PS3.10 section 7) and bounded inflation of deflated data sets.

Only files with the DICM marker, or whose first byte begins file meta, are DICOM here: without file meta nobody knows the
transfer syntax, and guessing it is not a basis for a verdict.
"""

import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dicomqc.core.cine import Refusal
from dicomqc.sample.elements import EXPLICIT_LITTLE, Elements, Encoding, Walk
from dicomqc.sample.limits import Limits
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import SYNTAXES

_PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"
_META_GROUP: Final = 0x0002
_META_START: Final = struct.pack("<H", _META_GROUP)
_TRANSFER_SYNTAX: Final = 0x00020010
_MEDIA_SOP_CLASS: Final = 0x00020002
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An open data set: it begins at `at` of `walk.stream` and is encoded as `encoding`, which the file may misname."""

    walk: Walk
    at: int
    encoding: Encoding
    transfer_syntax_uid: str
    media_sop_class_uid: str


@contextmanager
def open_source(path: Path, limits: Limits, *, buffered: bool = True) -> Iterator[Source]:
    """The data set of the file at `path`. Bad content raises `Rejected`; a file that cannot be opened or read, OSError.

    Buffered for a header, whose elements lie side by side; not for frames, which lie far apart.
    """
    # A pipe would be waited for and a device never ends: neither has offsets. A folder cannot be opened, which says so itself.
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Rejected(Refusal.NOT_DICOM, "a pipe or a device")
    with path.open("rb", buffering=-1 if buffered else 0) as file:
        size = os.fstat(file.fileno()).st_size
        walk = Walk(file, size, limits)
        at, meta = _file_meta(walk)
        uid = meta.text(_TRANSFER_SYNTAX)
        if not uid:
            raise Rejected(Refusal.UNREADABLE_HEADER, "the file meta information has no Transfer Syntax UID")
        syntax = SYNTAXES.get(uid)
        if syntax is not None and syntax.deflated:
            stream, size = _inflate(file, at, limits)
            walk, at = Walk(stream, size, limits), 0
        declared = EXPLICIT_LITTLE if syntax is None else syntax.encoding
        yield Source(
            walk=walk,
            at=at,
            encoding=walk.sniff(at, declared),
            transfer_syntax_uid=uid,
            media_sop_class_uid=meta.text(_MEDIA_SOP_CLASS),
        )


def _file_meta(walk: Walk) -> tuple[int, Elements]:
    """Where the data set begins, and group 0002 (always Explicit VR Little Endian)."""
    start = walk.stream.read(_PREAMBLE + len(_MAGIC))
    if start[_PREAMBLE:] == _MAGIC:
        at = _PREAMBLE + len(_MAGIC)
    elif start[:2] == _META_START:
        at = 0
    else:
        raise Rejected(Refusal.NOT_DICOM, "neither a DICM marker nor file meta information (PS3.10 section 7.1)")
    found = {}
    while (element := walk.header(at, EXPLICIT_LITTLE)) is not None and element.tag >> 16 == _META_GROUP:
        found[element.tag] = element
        at = walk.after(element, EXPLICIT_LITTLE)
    return at, Elements(walk=walk, encoding=EXPLICIT_LITTLE, found=found)


def _inflate(file: BinaryIO, at: int, limits: Limits) -> tuple[BinaryIO, int]:
    """A raw deflate stream (PS3.5 annex A.5) into memory, never beyond `max_inflated_bytes`."""
    file.seek(at)
    inflater, out = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    try:
        while not inflater.eof:
            chunk = inflater.unconsumed_tail or file.read(_CHUNK)
            if not chunk:
                raise Rejected(Refusal.TRUNCATED, "the deflated data set ends before its last block")
            out.write(inflater.decompress(chunk, _CHUNK * 16))
            if out.tell() > limits.max_inflated_bytes:
                raise Rejected(Refusal.TOO_LARGE, f"the data set inflates to more than {limits.max_inflated_bytes} bytes")
    except zlib.error as error:
        raise Rejected(Refusal.UNREADABLE_HEADER, "the deflated data set is corrupt") from error
    return out, out.tell()
