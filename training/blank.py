"""Featureless cines: flat fields and noise, as a detector gives without a patient. Emptiness is no tree either."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
# Shares of cines that are uneven, without any noise, under coloured noise, under noise that partly stands still.
_UNEVEN: Final = 0.6
_SILENT: Final = 0.15
_COLOURED: Final = 0.5
_STANDING: Final = 0.3


def cine(frames: int, size: int, rng: np.random.Generator) -> Grey:
    """Grey levels 0 to 255, float32 [frames,size,size]: one grey, mostly uneven, under noise of any strength and grain."""
    field = np.full((size, size), rng.uniform(0.0, 255.0), np.float32)
    if rng.random() < _UNEVEN:
        coarse = rng.standard_normal((int(rng.integers(2, 5)),) * 2, dtype=np.float32)
        field += np.float32(rng.uniform(0.0, 40.0)) * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < _SILENT:
        return np.repeat(np.clip(np.rint(field), 0.0, 255.0)[None], frames, axis=0)
    sigma = float(np.exp(rng.uniform(np.log(0.3), np.log(60.0))))
    grey = field + np.float32(sigma) * _noise(frames, size, rng)
    return np.asarray(np.clip(np.rint(grey), 0.0, 255.0), dtype=np.float32)


def _noise(frames: int, size: int, rng: np.random.Generator) -> Grey:
    """Of unit spread, white or coloured, and now and then partly the same from frame to frame."""
    made = rng.standard_normal((frames, size, size), dtype=np.float32)
    if rng.random() < _COLOURED:
        made = np.stack([cv2.GaussianBlur(one, (0, 0), rng.uniform(0.4, 1.5)) for one in made])
    if rng.random() < _STANDING:
        made = made + np.float32(rng.uniform(0.2, 1.5)) * made[:1]
    return np.asarray(made / made.std(), dtype=np.float32)
