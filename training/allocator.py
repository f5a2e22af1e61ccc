"""What a training step frees is kept for the next one.

glibc gives large blocks back to the kernel, which clears them page by page when they are asked for again: on two cores a
quarter of a step of an X3D-S in bf16 (docs/benchmarks.md).
"""

import ctypes
from typing import Final

import torch

# malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4


def keep_freed(device: torch.device) -> None:
    """Freed memory stays with this process from now on, where it trains on a CPU and its C library is glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if device.type == "cpu" and mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
