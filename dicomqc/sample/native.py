"""Uncompressed frames: found by arithmetic, read by one seek each (PS3.5 section 8.1 and annex A.1 to A.3)."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal
from dicomqc.sample.bits import masked
from dicomqc.sample.elements import Walk
from dicomqc.sample.header import Inspected, PixelLocation
from dicomqc.sample.rejection import Rejected

_BITS_PER_BYTE: Final = 8
_WORD: Final = 2


def native_frames(
    walk: Walk, inspected: Inspected, pixels: PixelLocation, numbers: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Number and stored values [rows, columns] of each wanted frame. Raises `Rejected`.

    Less pixel data than the header declares is a truncation, found before anything is read: a million declared frames cost
    nothing.
    """
    stored, shift = inspected.stored, _shift(inspected)
    rows, columns, frames = inspected.shape
    depth = stored.bits_allocated // _BITS_PER_BYTE
    frame_bytes = rows * columns * depth
    if pixels.length is None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "encapsulated pixel data in a native transfer syntax")
    if pixels.length < frames * frame_bytes or pixels.at + pixels.length > walk.size:
        raise Rejected(Refusal.TRUNCATED, f"the pixel data hold less than {frames} frames of {frame_bytes} bytes")
    for number in numbers:
        raw = _bytes(walk, pixels, (number - 1) * frame_bytes, frame_bytes, swapped=depth == 1 and _is_swapped(pixels))
        if len(raw) != frame_bytes:
            raise Rejected(Refusal.TRUNCATED, f"the pixel data end inside frame {number}")
        values = np.frombuffer(raw, dtype=f"{'<' if pixels.little else '>'}u{depth}").reshape(rows, columns)
        yield number, masked(values, stored, shift)


def _shift(inspected: Inspected) -> int:
    """How far the stored bits lie above the lowest: 0 in every conforming object, overlays below them in old ones."""
    if inspected.high_bit is None:
        return 0
    stored = inspected.stored
    shift = inspected.high_bit + 1 - stored.bits_stored
    if not 0 <= shift <= stored.bits_allocated - stored.bits_stored:
        raise Rejected(Refusal.UNSUPPORTED_BITS, "HighBit does not fit BitsStored and BitsAllocated")
    return shift


def _is_swapped(pixels: PixelLocation) -> bool:
    """Pairs of bytes in big-endian OW are swapped (PS3.5 section 7.3); OB never is."""
    return pixels.words and not pixels.little


def _bytes(walk: Walk, pixels: PixelLocation, start: int, count: int, *, swapped: bool) -> bytes:
    """`count` bytes from `start` of the pixel data; pairs are counted from the start of the value, so read whole pairs."""
    lead = start % _WORD if swapped else 0
    tail = (lead + count) % _WORD if swapped else 0
    walk.stream.seek(pixels.at + start - lead)
    raw = walk.stream.read(lead + count + tail)
    if swapped and len(raw) % _WORD == 0:
        raw = np.frombuffer(raw, dtype=np.uint16).byteswap().tobytes()
    return raw[lead : lead + count]
