"""What a coded frame says of itself, read before any decoder sees it (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2, 15444-1 A.5.1).

With the frame's end marker and its own size equal to the data set's, the decoders of `codecs` neither crashed nor ran away
on mutated streams (`make fuzz-decode`); without these guards some did.
"""

import struct
from dataclasses import dataclass
from typing import Final

from dicomqc.core.cine import Refusal
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import Coding

_START_OF_IMAGE: Final = b"\xff\xd8"
_START_OF_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_MARKER: Final = 0xFF
# Segments and fill bytes before the frame header: real writers need a dozen, and each is a step in Python.
_MOST_SEGMENTS: Final = 1024
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
# The frame markers that each family may hold: sequential DCT (SOF0, SOF1), lossless (SOF3), JPEG-LS (SOF55).
_FRAME_MARKERS: Final = {
    Coding.JPEG: frozenset({0xC0, 0xC1}),
    Coding.JPEG_LOSSLESS: frozenset({0xC3}),
    Coding.JPEG_LS: frozenset({0xF7}),
}
_ENDS_HEADER: Final = frozenset(
    {0xD9, 0xDA, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedSize:
    """Rows and columns in pixels, `precision` in bits a sample, number of components."""

    rows: int
    columns: int
    precision: int
    components: int


def coded_size(frame: bytes, coding: Coding) -> CodedSize:
    """The size that the coded frame itself declares. Raises `Rejected` where it has no such header."""
    try:
        size = _siz(frame) if coding is Coding.JPEG_2000 else _sof(frame, coding)
    except (struct.error, IndexError):
        size = None
    if size is None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"a frame does not begin as {coding} does")
    return size


def _sof(frame: bytes, coding: Coding) -> CodedSize | None:
    if not frame.startswith(_START_OF_IMAGE):
        return None
    at = len(_START_OF_IMAGE)
    for _ in range(_MOST_SEGMENTS):
        if frame[at] != _MARKER:
            break
        marker = frame[at + 1]
        if marker == _MARKER:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _ENDS_HEADER:
            if marker not in _FRAME_MARKERS[coding]:
                return None
            _, precision, rows, columns, components = struct.unpack_from(">HBHHB", frame, at + 2)
            return CodedSize(rows=rows, columns=columns, precision=precision, components=components)
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return None


def _siz(frame: bytes) -> CodedSize | None:
    if not frame.startswith(_START_OF_CODESTREAM):
        return None
    width, height, left, top = struct.unpack_from(">4L", frame, 8)
    components, depth, step_x, step_y = struct.unpack_from(">HBBB", frame, 40)
    if (step_x, step_y) != (1, 1):
        return None
    # The top bit of the depth is the sign; the rest is bits less one.
    return CodedSize(rows=height - top, columns=width - left, precision=(depth & 0x7F) + 1, components=components)
