"""The contrast medium: the projected tree as two maps (how thick, how far from the ostium) and the bolus over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.projection import CANVAS, Float, Points, View
from dicomqc.phantom.tree import Branch

_SUPER: Final = 2
_STEPS_PER_MM: Final = 28.0
MM_PER_CODE: Final = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class VesselMaps:
    """`thickness` float32 [CANVAS,CANVAS] in mm of lumen; `way` uint8, the way from the ostium in MM_PER_CODE."""

    thickness: Float
    way: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bolus:
    """One injection. Times in seconds from the first frame; `strength` 1 is undiluted; nothing fills beyond `reach_mm`."""

    start_s: float
    rise_s: float
    duration_s: float
    washout_s: float
    speed_mm_s: float
    strength: float
    reach_mm: float

    def level(self, time_s: float, way_mm: Points) -> Points:
        """The concentration 0..1 after `way_mm` [N] of vessel at `time_s`: arrival, plateau, exponential wash-out."""
        since = time_s - self.start_s - way_mm / self.speed_mm_s
        rise = np.clip(since / (self.rise_s * (1.0 + way_mm / 200.0)), 0.0, 1.0)
        fade = np.exp(-np.clip(since - self.duration_s, 0.0, None) / self.washout_s)
        reach = np.clip((self.reach_mm - way_mm) / 12.0, 0.0, 1.0)
        filled: Points = self.strength * rise * rise * (3.0 - 2.0 * rise) * fade * reach
        return filled


CODES: Final[Points] = np.arange(256, dtype=np.float64) * MM_PER_CODE


def paint(branches: Sequence[Branch], view: View) -> VesselMaps:
    """Project `branches`; crossing vessels add up, and the thicker one gives the way."""
    thickness = np.zeros((CANVAS, CANVAS), np.float32)
    way = np.zeros((CANVAS, CANVAS), np.uint8)
    for branch in branches:
        _paint_branch(branch, view, thickness, way)
    return VesselMaps(thickness=thickness, way=way)


def _paint_branch(branch: Branch, view: View, thickness: Float, way: NDArray[np.uint8]) -> None:
    """Add one branch inside its bounding box: the chord of a tube in three steps, twice supersampled."""
    course = view.project(branch.points)
    pad = float(branch.diameter.max()) / view.mm_per_pixel + 3.0
    left, top = np.clip(np.floor(course.min(axis=0) - pad), 0, CANVAS).astype(int)
    right, bottom = np.clip(np.ceil(course.max(axis=0) + pad), 0, CANVAS).astype(int)
    if right - left < 2 or bottom - top < 2:
        return
    fine = np.zeros(((bottom - top) * _SUPER, (right - left) * _SUPER), np.uint8)
    codes = np.zeros((bottom - top, right - left), np.uint8)
    knots = np.round((course - (left, top)) * _SUPER * 16.0).astype(int)
    coarse = np.round(course - (left, top)).astype(int)
    for share in (1.0, 0.8, 0.5):
        chord = np.sqrt(1.0 - (share * 0.9) ** 2) * branch.diameter
        width = np.maximum(np.round(branch.diameter * share / view.mm_per_pixel * _SUPER), 1).astype(int)
        value = np.clip(chord * _STEPS_PER_MM, 1, 255)
        for i in range(len(knots) - 1):
            cv2.line(fine, knots[i], knots[i + 1], float(value[i]), int(width[i]), cv2.LINE_AA, 4)
    for i in range(len(coarse) - 1):
        wide = int(branch.diameter[i] / view.mm_per_pixel) + 5
        cv2.line(codes, coarse[i], coarse[i + 1], min(float(branch.distance[i]) / MM_PER_CODE, 255.0), wide)
    part = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32) / _STEPS_PER_MM
    here = thickness[top:bottom, left:right]
    np.copyto(way[top:bottom, left:right], codes, where=part > here)
    here += part


def blob(centre: Points, radius_px: float, squash: float, angle_deg: float, depth_mm: float) -> Float:
    """The projection of a contrast-filled ellipsoid (ventricle, aortic root, puff): float32 [CANVAS,CANVAS] in mm."""
    rows, columns = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    across, down = columns - np.float32(centre[0]), rows - np.float32(centre[1])
    along = (across * cos + down * sin) / radius_px
    beside = (down * cos - across * sin) / (radius_px * squash)
    chord: Float = (depth_mm * np.sqrt(np.clip(1.0 - along**2 - beside**2, 0.0, None))).astype(np.float32)
    return chord
