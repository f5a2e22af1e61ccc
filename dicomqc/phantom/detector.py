"""From attenuation to grey: quantum noise, blur, window and gamma, exposure ramp and collimation, drawn once per cine."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.projection import FRAME, MARGIN, Float

_POOL: Final = 832


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One cine's imaging chain. `grey_per_neper` scales attenuation; `tone` uint8 [256] is the display curve.

    `pool` is noise [_POOL,_POOL] to be scaled by `sigma` [FRAME,FRAME]; `open` uint8 0..255 is what the shutters leave.
    """

    grey_per_neper: float
    base: float
    pool: Float
    sigma: Float
    tone: NDArray[np.uint8]
    open: NDArray[np.uint8]
    ramp_frames: int
    ramp_depth: float


def build(rng: np.random.Generator, still: Float) -> Detector:
    """Draw a detector for the attenuation `still` [CANVAS,CANVAS]; its window follows the image, as automatic exposure does."""
    centre = still[MARGIN:-MARGIN:4, MARGIN:-MARGIN:4]
    low, high = np.percentile(centre, [2.0, 98.0])
    span = max(float(high - low), 0.6) * rng.uniform(1.0, 1.35) + 0.35
    grey_per_neper = 255.0 / span
    base = rng.uniform(215.0, 262.0) + float(low) * grey_per_neper
    gamma = float(np.exp(rng.uniform(np.log(0.75), np.log(1.45))))
    floor, ceiling = rng.uniform(0.0, 28.0), rng.uniform(225.0, 255.0)
    tone = np.round(floor + (ceiling - floor) * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
    pool = rng.standard_normal((_POOL, _POOL), dtype=np.float32)
    soft = cv2.GaussianBlur(pool, (0, 0), rng.uniform(0.45, 0.95))
    frame = still[MARGIN:-MARGIN, MARGIN:-MARGIN]
    strength = float(np.exp(rng.uniform(np.log(2.0), np.log(5.5)))) / float(soft.std())
    sigma = np.clip(np.exp(0.35 * (frame - np.median(centre))), 0.5, 2.2) * strength
    return Detector(
        grey_per_neper=grey_per_neper,
        base=base,
        pool=np.asarray(soft, dtype=np.float32),
        sigma=np.asarray(sigma, dtype=np.float32),
        tone=tone,
        open=_shutters(rng),
        ramp_frames=int(rng.integers(2, 8)) if rng.random() < 0.4 else 0,
        ramp_depth=float(rng.uniform(0.3, 0.9)),
    )


def expose(detector: Detector, attenuation: Float, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One frame: attenuation in grey [FRAME,FRAME], already scaled, to display grey; `number` is 1-based (PS3.3 C.7.6.6)."""
    missing = detector.ramp_depth * max(0.0, 1.0 - (number - 1) / detector.ramp_frames) if detector.ramp_frames else 0.0
    row, column = (int(v) for v in rng.integers(0, _POOL - FRAME, 2))
    noise = cv2.multiply(detector.pool[row : row + FRAME, column : column + FRAME], detector.sigma, scale=1.0 + 1.5 * missing)
    level = detector.base - 0.5 * missing * 255.0
    bright = cv2.subtract(noise, attenuation)
    grey = cv2.add(bright, (level, 0.0, 0.0, 0.0), dtype=cv2.CV_8U)
    toned = cv2.LUT(grey, detector.tone)
    return np.asarray(cv2.multiply(toned, detector.open, scale=1.0 / 255.0), dtype=np.uint8)


def _shutters(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rectangular blades with soft edges, and corners cut by an octagonal or round field."""
    page = np.full((FRAME, FRAME), 255, np.uint8)
    if rng.random() < 0.6:
        residue = float(rng.uniform(15, 60))
        top, bottom, left, right = (int(v) for v in np.clip(rng.normal(4, 16, 4), 0, 60))
        blades = np.full((FRAME, FRAME), residue, np.float32)
        blades[top : FRAME - bottom, left : FRAME - right] = 255.0
        page = np.round(cv2.GaussianBlur(blades, (0, 0), rng.uniform(1.0, 4.0))).astype(np.uint8)
    shape = rng.random()
    field = np.zeros((FRAME, FRAME), np.uint8)
    if shape < 0.3:
        cv2.circle(field, (FRAME // 2, FRAME // 2), int(rng.uniform(262, 330)), 255.0, -1, cv2.LINE_AA)
        return np.asarray(cv2.min(page, field), dtype=np.uint8)
    if shape < 0.6:
        cut, far = int(rng.uniform(20, 70)), FRAME - 1
        corners = [
            [cut, 0],
            [far - cut, 0],
            [far, cut],
            [far, far - cut],
            [far - cut, far],
            [cut, far],
            [0, far - cut],
            [0, cut],
        ]
        cv2.fillConvexPoly(field, np.array(corners, np.int32), 255.0, cv2.LINE_AA)
        return np.asarray(cv2.min(page, field), dtype=np.uint8)
    return page
