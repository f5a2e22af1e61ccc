"""The values-of-interest transform of an image as plain values: a window, a table, or nothing (PS3.3 C.11.2).

No numpy, no cv2: headers are read with this module on machines that never see a pixel.
"""

from dataclasses import dataclass
from enum import StrEnum


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window in units of stored values, since no Modality LUT stands before it here."""

    centre: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiTable:
    """A VOI LUT: stored value `first` maps to entry 0; `bits` is the declared depth of the entries."""

    first: int
    bits: int
    entries: tuple[int, ...]


Voi = Window | VoiTable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValues:
    """What a stored pixel value means: its container and depth in bits, its sign, and whether low values are bright."""

    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool

    @property
    def lowest(self) -> int:
        """The smallest value that the stored bits can hold."""
        return -(1 << (self.bits_stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The greatest value that the stored bits can hold."""
        return self.lowest + (1 << self.bits_stored) - 1
