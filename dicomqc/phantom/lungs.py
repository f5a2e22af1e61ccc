"""The lungs' vessels and airways as trees in the body's frame, which taper outward from the hila.

Layers are attenuation in nepers, float32 [CANVAS,CANVAS], beside that of a lung without them, or of tissue where it says so.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.bones import BODY, line
from dicomqc.phantom.heart import unit
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm, smooth

_BLOOD_PER_MM: Final = 0.0085
_PER_NEPER: Final = 2000.0  # grey levels of a page
_BENDS: Final = 3  # knots of a branch


class Branches(NamedTuple):
    """Branches: `courses` [N,3,3] in mm, `diameter` [N] in mm, `stem` [N] the stem that each came from."""

    courses: Points
    diameter: Points
    stem: NDArray[np.int64]


def hilum(side: float) -> Points:
    """Where vessels and airway of the lung on `side` (1: the patient's left) enter it, [3] mm."""
    return BODY + mm(side * 34.0, 8.0, 32.0 + 4.0 * side)


def grow(rng: np.random.Generator, roots: int, width_mm: float, least_mm: float) -> list[Branches]:
    """Trees of `roots` stems, which leave the hila in turn right and left; a list entry is a generation, the stems first.

    They end at calibres of `least_mm` and at the pleura.
    """
    stem = np.arange(roots)
    side = np.where(stem % 2, 1.0, -1.0)
    gate = np.array([hilum(s) for s in side])
    spread = np.stack([side * 0.7, rng.normal(0, 0.6, roots), rng.permutation(np.linspace(-1.3, 0.9, roots))], axis=1)
    way = unit(spread + rng.normal(0, 0.2, (roots, 3)))
    place = gate + 6.0 * way + rng.normal(0, 3.0, (roots, 3))
    size = width_mm * rng.uniform(0.6, 1.0, roots)
    generations = []
    while len(size):
        reach = (4.0 + 2.3 * size) * rng.uniform(0.6, 1.4, len(size))
        end = place + reach[:, None] * way
        sag = rng.normal(0.0, 0.09, (len(size), 3)) * reach[:, None]
        along = np.linspace(0.0, 1.0, _BENDS)[:, None]
        courses = place[:, None] + (end - place)[:, None] * along + sag[:, None] * (4.0 * along * (1.0 - along))
        generations.append(Branches(courses, size, stem))
        turn = unit(np.cross(way, rng.normal(0.0, 1.0, way.shape)))
        outward = 0.12 * unit(end - gate[stem])
        bends = rng.uniform((0.1, -1.2), (0.4, -0.5), (len(way), 2))
        ways = np.vstack([way + outward + bends[:, :1] * turn, way + bends[:, 1:] * turn])
        size = np.concatenate([size * rng.uniform(0.78, 0.92, len(size)), size * rng.uniform(0.45, 0.72, len(size))])
        ends, stems = np.vstack([end, end]), np.concatenate([stem, stem])
        keep = (size > least_mm) & _inside(ends, side[stems])
        place, way, size, stem = ends[keep], unit(ways[keep]), size[keep], stems[keep]
    return generations


def _inside(points: Points, side: Points) -> NDArray[np.bool_]:
    """Whether points [N,3] lie in the lung on their `side` [N]."""
    spot = (points - BODY - np.outer(side, mm(76.0, 0.0, 0.0)) - mm(0.0, 0.0, 20.0)) / mm(62.0, 88.0, 125.0)
    return np.asarray((spot**2).sum(axis=1) < 1.0, dtype=np.bool_)


def _shown(view: View, generations: list[Branches]) -> tuple[Points, Points, NDArray[np.int64]]:
    """Canvas courses [N,3,2], diameters and stems [N] of what lies in the canvas."""
    courses, diameter, stem = (np.concatenate(parts) for parts in zip(*generations, strict=True))
    spots = view.project(courses.reshape(-1, 3)).reshape(-1, _BENDS, 2)
    near: NDArray[np.bool_] = ((spots.max(axis=1) > 0) & (spots.min(axis=1) < CANVAS)).all(axis=1)
    return spots[near], diameter[near], stem[near]


def vessels(rng: np.random.Generator, view: View) -> Float:
    """Arteries and veins of both lungs."""
    spots, diameter, stem = _shown(view, grow(rng, int(rng.integers(12, 20)), rng.uniform(6.0, 10.0), 1.2))
    pages = np.zeros((2, CANVAS, CANVAS), np.uint8)
    steps = np.round(8.0 * np.log(diameter)).astype(int)
    # Thin branches first; wide ones are denser in their middle, as round ones are.
    for step in np.unique(steps):
        wide = float(np.exp(step / 8.0))
        # Wide ones lie among others and are flat: by the chord alone nothing but them would be seen.
        value = _PER_NEPER * _BLOOD_PER_MM * 1.6 * wide**0.5
        for number, page in enumerate(pages):
            these = spots[(steps == step) & (stem // 2 % 2 == number)]
            line(page, these, 0.7 * value, wide / view.mm_per_pixel)
            if wide > 5.0 * view.mm_per_pixel:
                line(page, these, value, 0.6 * wide / view.mm_per_pixel)
    total = cv2.add(pages[0], pages[1]).astype(np.float32) / np.float32(_PER_NEPER)
    return np.asarray(cv2.GaussianBlur(total, (0, 0), 0.6), dtype=np.float32)


def airways(rng: np.random.Generator, view: View) -> tuple[Float, Float]:
    """Trachea, main bronchi and what leaves them near the hilum: their thin walls, and what their gas takes from tissue."""
    wall, lumen = np.zeros((CANVAS, CANVAS), np.uint8), np.zeros((CANVAS, CANVAS), np.uint8)
    carina = BODY + mm(4.0, 14.0, rng.uniform(58.0, 70.0))
    ways = [smooth(np.stack([carina, (carina + hilum(s)) / 2 + rng.normal(0, 3.0, 3), hilum(s)]), 9) for s in (-1.0, 1.0)]
    ways.append(np.stack([carina + mm(0, -2, 120.0), carina]))
    spots, diameter, _ = _shown(view, grow(rng, int(rng.integers(6, 10)), rng.uniform(6.0, 8.0), 3.0))
    tubes = [(view.project(way), wide) for way, wide in zip(ways, rng.uniform((9, 9, 14), (13, 13, 18)), strict=True)]
    tubes += list(zip(spots, diameter, strict=True))
    # Thin ones first, so that none crosses out a wide one.
    tubes.sort(key=lambda tube: float(tube[1]))
    for course, wide in tubes:
        line(wall, course, 255.0, (wide + 1.6) / view.mm_per_pixel)
    for course, wide in tubes:
        line(wall, course, 0.0, wide / view.mm_per_pixel)
        for share, value in ((1.0, 0.7), (0.65, 1.0)):
            line(lumen, course, min(14.0 * wide, 255.0) * value, share * wide / view.mm_per_pixel)
    walls, gas = (cv2.GaussianBlur(page, (0, 0), 0.9).astype(np.float32) / np.float32(255.0) for page in (wall, lumen))
    return walls * np.float32(0.05), gas * np.float32(0.12)
