"""Uncompressed frames: found by arithmetic, read by one seek each (PS3.5 section 8.1 and annex A.1 to A.3)."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFrames:
    """The frames of an open uncompressed cine; `shift` is how far the stored bits lie above the lowest."""

    walk: Walk
    inspected: Inspected
    pixels: PixelLocation
    shift: int

    def read(self, number: int) -> bytes:
        """The bytes of the frame with this 1-based number. For one thread at a time. Raises `Rejected`."""
        depth, frame_bytes = self._sizes()
        swapped = depth == 1 and _is_swapped(self.pixels)
        raw = _bytes(self.walk, self.pixels, (number - 1) * frame_bytes, frame_bytes, swapped=swapped)
        if len(raw) != frame_bytes:
            raise Rejected(Refusal.TRUNCATED, f"the pixel data end inside frame {number}")
        return raw

    def stored(self, raw: bytes, out: NDArray[np.generic]) -> NDArray[np.generic]:  # noqa: ARG002 — as CodedFrames.stored
        """The stored values [rows, columns] of one frame's bytes, by any thread; they may lie in `raw`'s own memory."""
        rows, columns, _ = self.inspected.shape
        values = np.frombuffer(raw, dtype=f"{'<' if self.pixels.little else '>'}u{self._sizes()[0]}")
        return masked(values.reshape(rows, columns), self.inspected.stored, self.shift)

    def _sizes(self) -> tuple[int, int]:
        """Bytes of a pixel and of a frame."""
        rows, columns, _ = self.inspected.shape
        depth = self.inspected.stored.bits_allocated // _BITS_PER_BYTE
        return depth, rows * columns * depth


def native_frames(walk: Walk, inspected: Inspected, pixels: PixelLocation) -> NativeFrames:
    """The frames of an uncompressed cine. Raises `Rejected`.

    Less pixel data than the header declares is a truncation, found before anything is read: a million declared frames cost
    nothing.
    """
    rows, columns, frames = inspected.shape
    frame_bytes = rows * columns * (inspected.stored.bits_allocated // _BITS_PER_BYTE)
    if pixels.length is None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "encapsulated pixel data in a native transfer syntax")
    if pixels.length < frames * frame_bytes or pixels.at + pixels.length > walk.size:
        raise Rejected(Refusal.TRUNCATED, f"the pixel data hold less than {frames} frames of {frame_bytes} bytes")
    return NativeFrames(walk=walk, inspected=inspected, pixels=pixels, shift=_shift(inspected))


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
