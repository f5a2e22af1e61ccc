"""Clips as a network sees them: structured and moving, never white noise, which hides what a pooling mean averages away."""

import numpy as np
from numpy.typing import NDArray

from dicomqc.sample.spec import FrameSpec


def structured(spec: FrameSpec, count: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    """Clips uint8 [count,T,S,S]: soft background, dark branching lines that move, shutters and a little noise."""
    random = np.random.default_rng(seed)
    times, size = len(spec.frame_numbers()), spec.size
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    found = np.empty((count, times, size, size), np.uint8)
    for clip in found:
        a, b, c, d = random.uniform(2.0, 9.0, 4)
        for t, frame in enumerate(clip):
            shift = 0.02 * np.sin(2 * np.pi * t / times)
            grey = 128 + 45 * np.sin(a * x + shift) * np.cos(b * y) + 20 * y
            for k in range(1, 5):
                line = np.abs(y - 0.2 * k - 0.1 * np.sin(c * x + k) - shift)
                grey = grey - 70 * min(t / 5, 1.0) * np.exp(-((line * 60) ** 2)) * (x * d > k * 0.3)
            grey = np.where((x < 0.05) | (y > 0.96), 12, grey)
            frame[:] = np.clip(grey + random.normal(0, 3, grey.shape), 0, 255)
    return found
