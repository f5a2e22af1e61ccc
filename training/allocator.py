"""What a training step frees is kept for the next one.

glibc gives large blocks back to the kernel, which clears them page by page when they are asked for again: on two cores a
quarter of a step of an X3D-S in bf16 (docs/benchmarks.md).
"""

import ctypes
from typing import Final

# malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4


def keep_freed() -> bool:
    """From now on freed memory stays with this process, and no block is mapped by itself; false where this is no glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
