"""The contrast medium: how a bolus travels, and the clouds it makes outside of vessels (ventricle, root, puff, blush)."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from dicomqc.phantom.projection import CANVAS, Float, Points

CELL: Final = 4  # pixels of the canvas to one cell of a cloud: contrast in a chamber has no finer detail
_CELLS: Final = CANVAS // CELL
_EDDY_CELLS: Final = 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bolus:
    """One injection. Times in seconds from the first frame; `strength` 1 is undiluted; nothing fills beyond `reach_mm`.

    `streaming` is the share by which each heartbeat dilutes what enters, `beats_per_s` its pace.
    """

    start_s: float
    rise_s: float
    duration_s: float
    washout_s: float
    speed_mm_s: float
    strength: float
    reach_mm: float
    streaming: float = 0.0
    beats_per_s: float = 1.0

    def level(self, time_s: float, way_mm: Points) -> Points:
        """The concentration 0..1 after `way_mm` [N] of vessel at `time_s`: arrival, plateau, exponential wash-out."""
        entered = time_s - way_mm / self.speed_mm_s
        since = entered - self.start_s
        rise = np.clip(since / (self.rise_s * (1.0 + way_mm / 250.0)), 0.0, 1.0)
        fade = np.exp(-np.clip(since - self.duration_s, 0.0, None) / (self.washout_s * (1.0 + way_mm / 150.0)))
        reach = np.clip((self.reach_mm - way_mm) / 12.0, 0.0, 1.0)
        stream = 1.0 - self.streaming * (0.5 + 0.5 * np.cos(2.0 * np.pi * self.beats_per_s * entered))
        filled: Points = self.strength * rise * rise * (3.0 - 2.0 * rise) * fade * reach * stream
        return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Contrast that fills a space: `depth` float32 [CANVAS/CELL,CANVAS/CELL] in mm, over time by `bolus`.

    `texture` (of twice the size) drifts through it where mixing is uneven; `ejects` is the share that a beat drives out, or
    if negative adds; `ride` is how far full contraction takes it, columns and rows in cells.
    """

    depth: Float
    bolus: Bolus
    ejects: float = 0.0
    texture: Float | None = None
    drift: tuple[float, float] = (0.0, 0.0)
    ride: tuple[float, float] = (0.0, 0.0)

    def at(self, time_s: float, squeeze: float) -> Float | None:
        """The cloud of one instant in mm of contrast, or None where there is none yet."""
        level = float(self.bolus.level(time_s, np.zeros(1))[0]) * (1.0 - self.ejects * squeeze)
        if level < 1e-3:
            return None
        depth = self.depth
        if any(self.ride):
            matrix = np.array([[1.0, 0.0, self.ride[0] * squeeze], [0.0, 1.0, self.ride[1] * squeeze]])
            depth = np.asarray(cv2.warpAffine(depth, matrix, depth.shape[::-1]), dtype=np.float32)
        if self.texture is None:
            return np.asarray(depth * np.float32(level), dtype=np.float32)
        x, y = (int(abs(v * (time_s - self.bolus.start_s))) % _CELLS for v in self.drift)
        # Nothing in the body is less diluted than what is injected.
        mixed = np.minimum(self.texture[y : y + _CELLS, x : x + _CELLS] * np.float32(level), np.float32(1.0))
        return np.asarray(depth * mixed, dtype=np.float32)


def mixing(rng: np.random.Generator, contrast: float) -> Float:
    """A texture of uneven mixing around 1, float32 [2 CANVAS/CELL, 2 CANVAS/CELL]."""
    size = 2 * _CELLS
    fine = rng.standard_normal((40, 60), dtype=np.float32)
    coarse = rng.standard_normal((18, 14), dtype=np.float32)
    total = cv2.resize(fine, (size, size), interpolation=cv2.INTER_CUBIC) + cv2.resize(
        coarse, (size, size), interpolation=cv2.INTER_CUBIC
    )
    # Carried along by eddies, which roll the patches up into streaks.
    eddies = [
        cv2.resize(rng.standard_normal((12, 12), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC) for _ in "xy"
    ]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    reach = np.float32(_EDDY_CELLS)
    total = cv2.remap(total, columns + reach * eddies[0], rows + reach * eddies[1], cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
    return np.asarray(np.clip(1.0 + contrast * total, 0.25, 2.0), dtype=np.float32)


def blush(spots: Points, weights: Points, spread_px: float) -> Float:
    """The tissue around vessels at canvas points [N,2]: weights [N] spread out, [CANVAS/CELL,CANVAS/CELL], maximum 1."""
    page = np.zeros((_CELLS, _CELLS), np.float32)
    cells = np.floor(spots / CELL).astype(int)
    inside = ((cells >= 0) & (cells < _CELLS)).all(axis=1)
    np.add.at(page, (cells[inside, 1], cells[inside, 0]), weights[inside].astype(np.float32))
    soft = cv2.GaussianBlur(page, (0, 0), spread_px / CELL)
    return np.asarray(soft / max(float(soft.max()), 1e-6), dtype=np.float32)
