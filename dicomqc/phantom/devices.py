"""Metal and plastic that lies still: sternal wires, clips, leads, and the devices that may lie over or beside the vessels.

Every function returns attenuation in nepers, float32 [CANVAS,CANVAS]. What moves with the heart is in `instruments`.
"""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.bones import BODY, line
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, Float, Points, View, mm, smooth

OVER: Final = 0.45
BESIDE: Final = 0.03
_BREASTBONE_MM: Final = -97.0  # from the thorax's axis to the back


def _page() -> NDArray[np.uint8]:
    return np.zeros((CANVAS, CANVAS), np.uint8)


def _nepers(page: NDArray[np.uint8], strength: float, blur: float = 0.8) -> Float:
    soft = cv2.GaussianBlur(page, (0, 0), blur).astype(np.float32)
    return np.asarray(soft * np.float32(strength / 255.0), dtype=np.float32)


def sternal_wires(rng: np.random.Generator, view: View) -> Float:
    """Four to six twisted loops along the sternum."""
    page = _page()
    angle = np.linspace(0.0, 2.0 * np.pi, 20)
    for level in np.linspace(-60.0, 80.0, int(rng.integers(4, 7))):
        middle = BODY + mm(rng.normal(0, 3), _BREASTBONE_MM, level + rng.normal(0, 4))
        tilt = rng.normal(0, 0.3)
        across, up = 8.0 * np.cos(angle), 3.5 * np.sin(angle) * np.cos(0.5 * angle) + 9.0 * np.cos(angle) * tilt
        loop = middle + np.stack([across, np.zeros(20), up], axis=1)
        tail = middle + np.array([[0.0, 0.0, -5.0], [2.0, 0.0, -8.0], [-1.0, 0.0, -10.0]])
        line(page, view.project(loop), 230.0, 0.6 / view.mm_per_pixel)
        line(page, view.project(tail), 255.0, 1.0 / view.mm_per_pixel)
    return _nepers(page, rng.uniform(0.7, 1.3))


def clips(rng: np.random.Generator, view: View, along: Points) -> Float:
    """Some small clips near points [N,3] in mm, as a surgeon leaves them along a graft."""
    page = _page()
    for _ in range(int(rng.integers(3, 12))):
        spot = along[int(rng.integers(len(along)))] + rng.normal(0, 6.0, 3)
        ends = np.stack([spot, spot + rng.normal(0, 2.2, 3)])
        line(page, view.project(ends), 255.0, 0.8 / view.mm_per_pixel)
    return _nepers(page, rng.uniform(0.6, 1.2))


def monitoring_lead(rng: np.random.Generator) -> Float:
    """A thin ECG or pacing lead across the field, with an electrode now and then."""
    knots = np.stack([rng.uniform(0.1, 0.9, 4) * CANVAS, np.array([-0.05, 0.35, 0.7, 1.05]) * CANVAS], axis=1)
    if rng.random() < 0.5:
        knots = knots[:, ::-1]
    page = _page()
    course = smooth(knots, 60)
    line(page, course, 200.0, rng.uniform(2.0, 5.0))
    if rng.random() < 0.5:
        spot = course[int(rng.integers(10, 50))]
        cv2.circle(page, (int(spot[0]), int(spot[1])), int(rng.uniform(8, 16)), 255.0, -1, cv2.LINE_AA)
    return _nepers(page, rng.uniform(0.15, 0.5))


def implant(rng: np.random.Generator, mm_per_pixel: float) -> tuple[Float, NDArray[np.uint8]]:
    """A pacemaker or a spinal fixation in the middle of the canvas, with its footprint (uint8 mask)."""
    page = _page()
    footprint = _page()
    turn = rng.uniform(-25.0, 25.0)
    draw = (_pacemaker, _fixation, _patch)[int(rng.integers(3))]
    draw(rng, page, footprint, mm_per_pixel, turn)
    return _nepers(page, rng.uniform(1.8, 3.2), rng.uniform(0.8, 1.6)), footprint


def _pacemaker(
    rng: np.random.Generator, page: NDArray[np.uint8], footprint: NDArray[np.uint8], mm_per_pixel: float, turn: float
) -> None:
    middle = (CANVAS / 2, CANVAS / 2)
    size = np.array([rng.uniform(66, 84), rng.uniform(58, 74)]) / mm_per_pixel
    cv2.ellipse(page, (middle, tuple(size), turn), 190.0, -1, cv2.LINE_AA)
    cv2.ellipse(footprint, (middle, tuple(size), turn), 255.0, -1)
    for _ in range(3):
        shift, part = rng.uniform(-0.18, 0.18, 2) * size, size * rng.uniform(0.25, 0.45, 2)
        box = cv2.boxPoints(((middle[0] + shift[0], middle[1] + shift[1]), tuple(part), turn))
        cv2.fillConvexPoly(page, np.round(box).astype(np.int32), 255.0, cv2.LINE_AA)


def _fixation(
    rng: np.random.Generator, page: NDArray[np.uint8], footprint: NDArray[np.uint8], mm_per_pixel: float, turn: float
) -> None:
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    rotation = np.array([[cos, -sin], [sin, cos]])
    half, long = rng.uniform(20, 27) / mm_per_pixel, rng.uniform(75, 95) / mm_per_pixel
    wide = rng.uniform(6.0, 8.0) / mm_per_pixel
    for side in (-half, half):
        line(page, np.array([[side, -long], [side, long]]) @ rotation.T + CANVAS / 2, 210.0, wide)
        for level in np.linspace(-0.85, 0.85, int(rng.integers(4, 7))) * long:
            screw = np.array([[side * 1.35, level], [side * -0.1, level + rng.normal(0, 6)]]) @ rotation.T + CANVAS / 2
            line(page, screw, 255.0, wide * 1.3)
    body = np.array([[-half, -long], [half, -long], [half, long], [-half, long]]) * 1.15
    cv2.fillConvexPoly(footprint, np.round(body @ rotation.T + CANVAS / 2).astype(np.int32), 255.0)


def _patch(
    rng: np.random.Generator, page: NDArray[np.uint8], footprint: NDArray[np.uint8], mm_per_pixel: float, turn: float
) -> None:
    """A defibrillator's patch: a plate with a thick rim and its cable."""
    middle = (CANVAS / 2, CANVAS / 2)
    size = np.array([rng.uniform(70, 95), rng.uniform(62, 90)]) / mm_per_pixel
    box = np.round(cv2.boxPoints((middle, tuple(size), turn))).astype(np.int32)
    cv2.fillConvexPoly(page, box, rng.uniform(130, 180), cv2.LINE_AA)
    cv2.polylines(page, [box], True, 240.0, max(round(2.5 / mm_per_pixel), 1), cv2.LINE_AA)
    cv2.fillConvexPoly(footprint, box, 255.0)
    for offset in np.linspace(-0.3, 0.3, int(rng.integers(0, 5))):
        ends = [p + (q - p) * (0.5 + offset) for p, q in ((box[0], box[1]), (box[3], box[2]))]
        line(page, np.array(ends), 230.0, 3.0)
    edge = np.array([middle + size * (0.4, 0.0), middle + size * (0.9, rng.uniform(-0.5, 0.5)), middle + size * (1.6, -1.2)])
    line(page, smooth(edge, 30), 235.0, 1.6 / mm_per_pixel)


def course_mask(courses: Sequence[Points]) -> NDArray[np.uint8]:
    """Canvas courses [N,2] as lines at a quarter of the canvas's size, uint8 0 or 255."""
    page = np.zeros((CANVAS // 4, CANVAS // 4), np.uint8)
    cv2.polylines(page, [np.round(c / 4).astype(np.int32).reshape(-1, 1, 2) for c in courses], False, 255.0, 1)
    return page


def place(
    rng: np.random.Generator, device: tuple[Float, NDArray[np.uint8]], vessels: NDArray[np.uint8], *, over: bool
) -> tuple[Float, NDArray[np.uint8]]:
    """Shift a centred device over the vessels (it hides OVER of them or more) or beside (it hides BESIDE or less).

    `vessels` is `course_mask`'s. The best of some random places counts: most of the vessels hidden, or fewest while a third
    of the device shows. Returns the layer and its footprint.
    """
    layer, footprint = device
    seen = vessels > 0
    frame = slice(MARGIN // 4, (MARGIN + FRAME) // 4)
    total = max(int(seen[frame, frame].sum()), 1)
    small = np.ascontiguousarray(footprint[::4, ::4])
    best, best_shift = -1.0, (0, 0)
    for _ in range(120):
        shift = (int(rng.integers(-80, 81)), int(rng.integers(-80, 81)))
        moved = _shifted(small, shift) > 0
        inside = float(moved[frame, frame].sum()) / max(int((small > 0).sum()), 1)
        hidden = float((moved & seen)[frame, frame].sum()) / total
        value = hidden if over else (inside >= 0.33) * (1.0 - hidden)
        if value > best:
            best, best_shift = value, shift
        if (over and hidden >= OVER + 0.1) or (not over and inside >= 0.33 and hidden <= BESIDE / 3):
            break
    shift = (best_shift[0] * 4, best_shift[1] * 4)
    return _shifted(layer, shift), _shifted(footprint, shift)


def _shifted(image: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved: NDArray[Any] = cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_NEAREST)
    return moved
