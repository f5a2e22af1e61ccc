"""From millimetres in the body to pixels of the canvas, and smooth random curves.

Body axes, origin in the middle of the heart: x to the patient's left, y to the back, z to the head. The canvas is wider
than the frame by MARGIN on each side, so that the table can pan.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAME: Final = 512
MARGIN: Final = 128
CANVAS: Final = FRAME + 2 * MARGIN
SOURCE_TO_HEART_MM: Final = 750.0

Float = NDArray[np.float32]
Points = NDArray[np.float64]
BODY_AXES: Final[Points] = np.eye(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A cone-beam projection: C-arm angles in degrees (primary: LAO positive; secondary: cranial positive).

    `mm_per_pixel` holds in the plane of the heart's middle; `offset` is where that middle falls, in pixels from the middle
    of the canvas. The source is behind the patient in the view from the front, so what lies nearer to it is larger.
    """

    primary_deg: float
    secondary_deg: float
    mm_per_pixel: float
    offset: tuple[float, float]

    @property
    def axes(self) -> Points:
        """Unit vectors [3,3] in the body: across the image, up the image, towards the source."""
        a, b = np.radians(self.primary_deg), np.radians(self.secondary_deg)
        across = np.array([np.cos(a), np.sin(a), 0.0])
        back = np.array([-np.sin(a), np.cos(a), 0.0])
        head = np.array([0.0, 0.0, 1.0])
        return np.stack([across, head * np.cos(b) + back * np.sin(b), back * np.cos(b) - head * np.sin(b)])

    def ray(self, point: Points) -> Points:
        """The unit vector [3] from a body point [3] in mm to the source."""
        way = self.axes[2] * SOURCE_TO_HEART_MM - point
        return np.asarray(way / np.linalg.norm(way), dtype=np.float64)

    def project(self, points: Points) -> Points:
        """Body points [N,3] in mm to canvas points [N,2] (column, row) in pixels."""
        across, up, depth = (points @ self.axes.T).T
        scale = SOURCE_TO_HEART_MM / (SOURCE_TO_HEART_MM - depth) / self.mm_per_pixel
        middle = CANVAS / 2
        return np.stack([middle + self.offset[0] + across * scale, middle + self.offset[1] - up * scale], axis=1)

    def chord(self, centre: Points, radii: Points, cell: int, axes: Points = BODY_AXES) -> Float:
        """How far the beam runs inside an ellipsoid, mm, float32 [CANVAS/cell,CANVAS/cell]; `axes` [3,3] are its own."""
        size = CANVAS // cell
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(cell)
        right, up, along = self.axes
        u = (columns - np.float32(CANVAS / 2 + self.offset[0])) * np.float32(self.mm_per_pixel)
        v = (np.float32(CANVAS / 2 + self.offset[1]) - rows) * np.float32(self.mm_per_pixel)
        scaled = np.stack([right, up, along, -centre]) @ axes.T / radii
        a = float(scaled[2] @ scaled[2])
        b = sum(float(scaled[2] @ scaled[k]) * w for k, w in ((0, u), (1, v), (3, np.float32(1.0))))
        start = [np.float32(scaled[0, k]) * u + np.float32(scaled[1, k]) * v + np.float32(scaled[3, k]) for k in range(3)]
        c = start[0] ** 2 + start[1] ** 2 + start[2] ** 2 - np.float32(1.0)
        return np.asarray(2.0 / a * np.sqrt(np.clip(b * b - np.float32(a) * c, 0.0, None)), dtype=np.float32)


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
