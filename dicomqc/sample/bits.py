"""Decoded integers to stored values: BitsStored, HighBit and PixelRepresentation (PS3.5 section 8.1)."""

import numpy as np
from numpy.typing import NDArray

from dicomqc.sample.voi import StoredValues

_BITS_PER_BYTE = 8


def container(stored: StoredValues) -> np.dtype[np.generic]:
    """The array type of stored values: uint8, int8, uint16 or int16."""
    return np.dtype(f"{'i' if stored.signed else 'u'}{stored.bits_allocated // _BITS_PER_BYTE}")


def masked(values: NDArray[np.generic], stored: StoredValues, shift: int = 0) -> NDArray[np.generic]:
    """The stored bits of native or losslessly coded values, `shift` bits above the lowest, with their sign.

    Bits outside are overlays or a decoder's sign extension. A codestream whose sign differs from the data set's (JPEG 2000
    writers do that) is read as the data set's bit pattern. A writable array of native order may be changed in place.
    """
    unsigned = np.dtype(f"u{stored.bits_allocated // _BITS_PER_BYTE}")
    patterns = values.astype(unsigned, copy=False)
    spare = stored.bits_allocated - stored.bits_stored
    if spare == 0:
        return patterns.view(container(stored))
    out = patterns if patterns.flags.writeable else None
    if not stored.signed and shift == 0:
        return np.asarray(np.bitwise_and(patterns, (1 << stored.bits_stored) - 1, out=out))
    # Up against the top bit and down again: the second shift is arithmetic on signed values, and so extends the sign.
    risen = np.left_shift(patterns, spare - shift, out=out).view(container(stored))
    return np.asarray(np.right_shift(risen, spare, out=risen))


def clipped(values: NDArray[np.generic], stored: StoredValues) -> NDArray[np.generic]:
    """Lossily coded values: ringing may leave the stored range, where a mask would turn white into black."""
    if (values.dtype.kind == "i") != stored.signed:
        return masked(values, stored)
    if stored.bits_stored == _BITS_PER_BYTE * values.dtype.itemsize:
        return values.astype(container(stored), copy=False)
    kept: NDArray[np.generic] = np.clip(values, stored.lowest, stored.highest).astype(container(stored), copy=False)
    return kept
