"""How much room the spool's volume has left, and what that means for the door (I13)."""

import shutil
from enum import IntEnum
from pathlib import Path


class Level(IntEnum):
    """Ordered from good to bad: compare with <, >.

    OK takes everything; LOW (below the minimum) answers 0xA700 on open associations; CRITICAL (below half of it) rejects
    associations and is not ready; EXHAUSTED (below an eighth) also ends transfers under way, so that the ledger, which may
    share the volume, can still write.
    """

    OK = 0
    LOW = 1
    CRITICAL = 2
    EXHAUSTED = 3


def free_bytes(root: Path) -> int:
    """Bytes that this process may still write to the volume of `root`."""
    return shutil.disk_usage(root).free


def level_of(free: int, min_free_bytes: int) -> Level:
    """The level at `free` bytes left; a minimum of 0 is always OK."""
    if free >= min_free_bytes:
        return Level.OK
    if free * 2 >= min_free_bytes:
        return Level.LOW
    return Level.CRITICAL if free * 8 >= min_free_bytes else Level.EXHAUSTED


def level(root: Path, min_free_bytes: int) -> Level:
    """The level of the volume of `root` now."""
    return level_of(free_bytes(root), min_free_bytes)
