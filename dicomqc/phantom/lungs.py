"""The lungs' vessels and airways as trees in the body's frame, which taper outward from the hila.

Layers are attenuation in nepers, float32 [CANVAS,CANVAS], beside that of a lung without them.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.bones import BODY, line
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm

_BLOOD_PER_MM: Final = 0.0085
_PER_NEPER: Final = 2000.0  # grey levels of a page
_BENDS: Final = 4  # knots of a branch


class Twigs(NamedTuple):
    """Branches of one generation: `courses` [N,4,3] in mm, `diameter` [N] in mm."""

    courses: Points
    diameter: Points


def hilum(side: float) -> Points:
    """Where vessels and airway of the lung on `side` (1: the patient's left) enter it, [3] mm."""
    return BODY + mm(side * 34.0, 8.0, 32.0 + 4.0 * side)


def grow(rng: np.random.Generator, side: float, roots: int, width_mm: float, least_mm: float = 1.1) -> list[Twigs]:
    """A tree of `roots` stems that leave the hilum on `side`; every list entry is a generation, the stems first.

    It ends at calibres of `least_mm` and at the pleura.
    """
    spread = np.stack([np.full(roots, side * 0.7), rng.normal(0, 0.6, roots), np.linspace(-1.3, 0.9, roots)], axis=1)
    way = _unit(spread + rng.normal(0, 0.2, (roots, 3)))
    place = hilum(side) + 6.0 * way + rng.normal(0, 3.0, (roots, 3))
    size = width_mm * rng.uniform(0.6, 1.0, roots)
    generations = []
    while len(size):
        reach = (4.0 + 2.3 * size) * rng.uniform(0.6, 1.4, len(size))
        end = place + reach[:, None] * way
        sag = rng.normal(0.0, 0.09, (len(size), 3)) * reach[:, None]
        along = np.linspace(0.0, 1.0, _BENDS)
        courses = (
            place[:, None] + (end - place)[:, None] * along[:, None] + sag[:, None] * (4.0 * along * (1.0 - along))[:, None]
        )
        generations.append(Twigs(courses, size))
        turn = _unit(np.cross(way, rng.normal(0.0, 1.0, way.shape)))
        outward = 0.12 * _unit(end - hilum(side))
        ways = np.vstack(
            [way + outward + rng.uniform(0.1, 0.4, (len(way), 1)) * turn, way - rng.uniform(0.5, 1.2, (len(way), 1)) * turn]
        )
        size = np.concatenate([size * rng.uniform(0.78, 0.92, len(size)), size * rng.uniform(0.45, 0.72, len(size))])
        keep = (size > least_mm) & _inside(np.vstack([end, end]), side)
        place, way, size = np.vstack([end, end])[keep], _unit(ways[keep]), size[keep]
    return generations


def _unit(vectors: Points) -> Points:
    lengths: Points = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / (lengths + 1e-9), dtype=np.float64)


def _inside(points: Points, side: float) -> NDArray[np.bool_]:
    """Whether points [N,3] lie in the lung on `side`."""
    spot = (points - BODY - mm(side * 76.0, 0.0, 20.0)) / mm(62.0, 88.0, 125.0)
    return np.asarray((spot**2).sum(axis=1) < 1.0, dtype=np.bool_)


def vessels(rng: np.random.Generator, view: View) -> Float:
    """Arteries and veins of both lungs."""
    total = np.zeros((CANVAS, CANVAS), np.uint8)
    for roots, width in ((int(rng.integers(4, 7)), rng.uniform(7.0, 11.0)), (int(rng.integers(3, 6)), rng.uniform(6.0, 10.0))):
        page = np.zeros((CANVAS, CANVAS), np.uint8)
        for side in (-1.0, 1.0):
            _draw(page, view, grow(rng, side, roots, width))
        total = cv2.add(total, page)
    return np.asarray(cv2.GaussianBlur(total.astype(np.float32) / np.float32(_PER_NEPER), (0, 0), 0.6), dtype=np.float32)


def _draw(page: NDArray[np.uint8], view: View, generations: list[Twigs]) -> None:
    """Thin branches first; wide ones are denser in their middle, as round ones are."""
    courses = np.vstack([g.courses for g in generations])
    diameter = np.concatenate([g.diameter for g in generations])
    shown = view.project(courses.reshape(-1, 3)).reshape(-1, _BENDS, 2)
    near = ((shown > 0) & (shown < CANVAS)).all(axis=2).any(axis=1)
    steps = np.round(8.0 * np.log(diameter)).astype(int)
    for step in np.unique(steps[near]):
        these = near & (steps == step)
        wide = float(diameter[these].mean())
        for share, value in ((1.0, 0.7), (0.6, 1.0)):
            if share == 1.0 or share * wide > 2.0 * view.mm_per_pixel:
                line(page, shown[these], _PER_NEPER * _BLOOD_PER_MM * wide * value, share * wide / view.mm_per_pixel)


def airways(rng: np.random.Generator, view: View) -> Float:
    """The main bronchi and what leaves them near the hilum: open within (negative), with thin walls."""
    wall, lumen = np.zeros((CANVAS, CANVAS), np.uint8), np.zeros((CANVAS, CANVAS), np.uint8)
    carina = BODY + mm(4.0, 14.0, rng.uniform(58.0, 70.0))
    main = [(np.stack([carina + mm(0, -2, 120.0), carina]), rng.uniform(14.0, 18.0))]
    for side in (-1.0, 1.0):
        main.append((np.stack([carina, hilum(side)]), rng.uniform(9.0, 13.0)))
        for twigs in grow(rng, side, int(rng.integers(3, 5)), rng.uniform(6.0, 8.0), 3.0):
            main += [(c, float(d)) for c, d in zip(twigs.courses, twigs.diameter, strict=True)]
    for course, wide in main:
        line(wall, view.project(course)[None], 255.0, (wide + 1.6) / view.mm_per_pixel)
    for course, wide in main:
        line(wall, view.project(course)[None], 0.0, wide / view.mm_per_pixel)
        line(lumen, view.project(course)[None], 10.0 + 15.0 * wide, wide / view.mm_per_pixel)
    both = np.float32(0.05 / 255.0) * wall.astype(np.float32) - np.float32(0.12 / 255.0) * lumen.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(both, (0, 0), 0.9), dtype=np.float32)
