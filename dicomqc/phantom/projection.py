"""From millimetres in the body to pixels of the canvas, and smooth random curves.

Body axes, origin in the middle of the heart: x to the patient's left, y to the back, z to the head. The canvas is wider
than the frame by MARGIN on each side, so that the table can pan.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAME: Final = 512
MARGIN: Final = 64
CANVAS: Final = FRAME + 2 * MARGIN

Float = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A parallel projection: C-arm angles in degrees (primary: LAO positive; secondary: cranial positive), mm per pixel.

    `offset` is where the middle of the heart falls, in pixels from the middle of the canvas.
    """

    primary_deg: float
    secondary_deg: float
    mm_per_pixel: float
    offset: tuple[float, float]

    def project(self, points: Points) -> Points:
        """Body points [N,3] in mm to canvas points [N,2] (column, row) in pixels."""
        alpha, beta = np.radians(self.primary_deg), np.radians(self.secondary_deg)
        across = points[:, 0] * np.cos(alpha) + points[:, 1] * np.sin(alpha)
        depth = points[:, 1] * np.cos(alpha) - points[:, 0] * np.sin(alpha)
        up = points[:, 2] * np.cos(beta) + depth * np.sin(beta)
        middle = CANVAS / 2
        return np.stack(
            [middle + self.offset[0] + across / self.mm_per_pixel, middle + self.offset[1] - up / self.mm_per_pixel], axis=1
        )


def mm(across: float, back: float, up: float) -> Points:
    """A vector [3] in body millimetres."""
    return np.array([across, back, up], dtype=np.float64)


def wander(rng: np.random.Generator, count: int, amplitude: float, waves: int = 4) -> Points:
    """A smooth random curve [count] that starts at zero, of about `amplitude`: what makes courses tortuous."""
    along = np.linspace(0.0, 1.0, count)
    total = np.zeros(count)
    for order in range(1, waves + 1):
        strength, phase = rng.normal(0.0, amplitude / order), rng.uniform(0.0, 2.0 * np.pi)
        total += strength * (np.sin(2.0 * np.pi * order * along + phase) - np.sin(phase))
    return total


def smooth(points: Points, count: int) -> Points:
    """A curve [count,D] through the given knots [N,D] (Catmull-Rom)."""
    knots = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    place = np.linspace(0.0, len(points) - 1.0, count)
    index = np.minimum(place.astype(int), len(points) - 2)
    t = (place - index)[:, None]
    before, start, end, after = (knots[index + k] for k in range(4))
    curve: Points = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return curve
