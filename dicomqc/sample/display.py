"""Stored values to display grey levels, and the one resizer of node and training.

Everything between a stored value and its grey level is one look-up table, so the order cannot differ between callers:
stored value → VOI LUT or window → MONOCHROME1 inversion. Modality and Pixel Intensity LUTs are not display LUTs here.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.sample.voi import StoredValues, Voi, VoiTable, Window, WindowFunction

_WHITE = 255.0
_UNCHANGED = np.arange(256, dtype=np.uint8)
# As many channels as OpenCV's area filter takes; it walks its table of weights once for all of them.
_CHANNELS = 4


def display_lut(voi: Voi, stored: StoredValues) -> NDArray[np.uint8]:
    """The uint8 table of every stored value, indexed by its bit pattern: 256 or 65,536 entries by `bits_allocated`.

    A signed value indexes by its two's complement. Without a VOI the full stored range spans black to white, which for
    8 bits is the identity. Values outside the stored bits do not occur after decoding; they saturate.
    """
    patterns = np.arange(1 << stored.bits_allocated, dtype=np.int64)
    if stored.signed:
        half = 1 << (stored.bits_allocated - 1)
        patterns = (patterns + half) % (2 * half) - half
    values = np.clip(patterns, stored.lowest, stored.highest)
    if isinstance(voi, VoiTable):
        unit = _through_table(values, voi)
    elif isinstance(voi, Window):
        unit = _through_window(values.astype(np.float64), voi)
    else:
        unit = (values - stored.lowest) / max(stored.highest - stored.lowest, 1)
    unit = np.clip(unit, 0.0, 1.0)
    return np.asarray(np.rint((1.0 - unit if stored.inverted else unit) * _WHITE), dtype=np.uint8)


def to_display(stored: NDArray[np.generic], lut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames of stored values [T,H,W] or [H,W] (8 or 16 bits, either sign) to grey levels uint8 by `display_lut`'s table."""
    patterns = np.ascontiguousarray(stored).view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16)
    if len(lut) != 1 << (8 * patterns.dtype.itemsize):
        raise ValueError(f"a table of {len(lut)} entries cannot show {patterns.dtype} pixels")
    if patterns.dtype == np.uint8 and np.array_equal(lut, _UNCHANGED):
        return np.array(patterns, dtype=np.uint8)
    grey = cv2.LUT(patterns.reshape(-1, patterns.shape[-1]), lut)
    return np.asarray(grey, dtype=np.uint8).reshape(patterns.shape)


def resize(frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Frames uint8 [T,H,W], or T of [H,W], to uint8 [T,size,size], cv2 INTER_AREA.

    Frames that are not square are stretched (the paper: "resized to 160x160", without a crop), so that the whole field stays
    in view. An axis shorter than `size` grows by INTER_LINEAR after the other has shrunk: area filtering only repeats pixels
    when it grows. Four frames at a time go as the channels of one picture: the same grey levels in about half the time.
    """
    out = np.empty((len(frames), size, size), dtype=np.uint8)
    for first in range(0, len(frames), _CHANNELS):
        planes = list(frames[first : first + _CHANNELS])
        height, width = planes[0].shape
        picture = cv2.resize(cv2.merge(planes), (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
        if picture.shape[:2] != (size, size):
            picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
        cv2.split(picture, list(out[first : first + _CHANNELS]))
    return out


def _through_table(values: NDArray[np.int64], table: VoiTable) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.1: values before the first entry take the first, values after the last take the last."""
    entries = np.asarray(table.entries, dtype=np.float64)
    index = np.clip(values - table.first, 0, len(entries) - 1)
    return np.asarray(entries[index] / ((1 << table.bits) - 1), dtype=np.float64)


def _through_window(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, as a fraction of white before clipping."""
    if window.function is WindowFunction.SIGMOID:
        # Beyond ±60 the logistic function is 0 or 1 to the last bit of an 8-bit grey level, and exp would overflow.
        slope = np.clip(-4.0 * (values - window.centre) / window.width, -60.0, 60.0)
        return np.asarray(1.0 / (1.0 + np.exp(slope)), dtype=np.float64)
    if window.function is WindowFunction.LINEAR_EXACT:
        return (values - window.centre) / window.width + 0.5
    if window.width <= 1.0:
        return np.asarray(values > window.centre - 0.5, dtype=np.float64)
    return (values - (window.centre - 0.5)) / (window.width - 1.0) + 0.5
