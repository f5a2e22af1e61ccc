"""The heart as an ellipsoid: places on its wall, its outline, and where contraction takes a point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomqc.phantom.projection import Points


def unit(vectors: Points) -> Points:
    """The directions of vectors [...,3] that are longer than nothing."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float64)


_AXIS: Final = unit(np.array([0.62, -0.50, -0.60]))
_FRONT: Final = unit(np.array([0.15, -0.85, 0.50]) - _AXIS * float(_AXIS @ np.array([0.15, -0.85, 0.50])))
# The cross product points to the lateral wall of the left ventricle with this order of factors.
_SIDE: Final = np.cross(_FRONT, _AXIS) * (1.0 if float(np.cross(_FRONT, _AXIS) @ np.array([0.8, 0.5, 0.3])) > 0 else -1.0)
_MIDDLE: Final = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """The ellipsoid that carries the vessels: long axis and largest radius in mm; `turn` tilts it, radians."""

    length_mm: float
    radius_mm: float
    turn: float = 0.0

    @property
    def axes(self) -> Points:
        """Unit vectors [3,3]: base to apex, anterior groove, lateral wall."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        tilt = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        return np.asarray(np.stack([_AXIS, _FRONT, _SIDE]) @ tilt.T, dtype=np.float64)

    def radius_at(self, s: float) -> float:
        """The wall's radius in mm at the share `s` of the way to the apex."""
        return self.radius_mm * math.sqrt(max(1.0 - min(max(s, 0.0), 1.0) ** 2.2, 0.02))

    def place(self, knots: Sequence[tuple[float, float, float]] | Points) -> Points:
        """Knots (s, phi, r) as points [N,3] in mm, origin in the middle of the heart."""
        s, phi, r = np.array(knots, dtype=np.float64).T
        axis, front, side = self.axes
        radius = self.radius_mm * r * np.sqrt(np.clip(1.0 - np.clip(s, 0.0, 1.0) ** 2.2, 0.02, 1.0))
        around = np.cos(phi)[:, None] * front + np.sin(phi)[:, None] * side
        points: Points = ((s - _MIDDLE) * self.length_mm)[:, None] * axis + radius[:, None] * around
        return points

    def outline(self) -> Points:
        """Points [N,3] all over the wall, whose projection's hull is the heart's shadow."""
        knots = [(s, phi, 1.25) for s in np.linspace(-0.15, 1.0, 10) for phi in np.linspace(0, 2 * np.pi, 16)]
        return self.place(knots)

    def contraction(self, points: Points, squeeze: float, twist: float, descent_mm: float) -> Points:
        """How far [N,3] in mm full contraction moves `points` [N,3]: wall inward, apex turned, base towards the apex.

        Above the base the motion fades, so that an ostium moves little and the arch not at all.
        """
        axis, front, side = self.axes
        along, ahead, beside = points @ axis, points @ front, points @ side
        s = along / self.length_mm + _MIDDLE
        share = np.clip(s, 0.0, 1.0)
        fade = np.exp(np.clip(s + 0.02, None, 0.0) / 0.12)
        angle = twist * (share - 0.35) * fade
        scale = 1.0 - squeeze * fade * (0.6 + 0.4 * np.sin(np.pi * share))
        new_ahead = scale * (np.cos(angle) * ahead - np.sin(angle) * beside)
        new_beside = scale * (np.sin(angle) * ahead + np.cos(angle) * beside)
        down = descent_mm * fade * (1.0 - 0.85 * share)
        shift: Points = down[:, None] * axis + (new_ahead - ahead)[:, None] * front + (new_beside - beside)[:, None] * side
        return shift
