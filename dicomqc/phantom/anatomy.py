"""What lies behind and around the vessels: lungs, mediastinum, aorta, spine, ribs, diaphragm, heart shadow.

Layers are attenuation in nepers, float32 [CANVAS,CANVAS] where nothing else is said. Soft ones are drawn at half size, `bones`
and what `lungs` hold at full size, where an edge is a pixel wide. `limbs` draws the places of puncture.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import bones, lungs
from dicomqc.phantom.bones import BODY
from dicomqc.phantom.contrast import CELL
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm, wander

HALF: Final = CANVAS // 2
DESCENDING: Final = BODY + mm(19.0, 42.0, 0.0)  # the axis of the descending aorta, mm; its height is any
_ARCH_MM: Final = (95.0, 130.0)  # the height of its arch
_ARCH_ROUND_MM: Final = 14.0
_LUNG_PER_MM: Final = 0.0075
_TISSUE_PER_MM: Final = 0.0085


def cloud(rng: np.random.Generator, cells: int, size: int = HALF) -> Float:
    """Smooth noise of unit spread with about `cells` cells across."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def tissue(rng: np.random.Generator, strength: float) -> Float:
    """Uneven soft tissue whose detail falls off as in real bodies, half size: each octave weaker by a random power."""
    fall = rng.uniform(0.95, 1.35)
    total = np.zeros((HALF, HALF), np.float32)
    for cells in (3, 6, 12, 24, 48, 96, 160):
        total += np.float32(strength * (3.0 / cells) ** fall) * cloud(rng, cells)
    return total


def clutter(rng: np.random.Generator) -> Float:
    """Fine uneven shadows of clothes, cables' slack, skin folds and gas, from none to as strong as small vessels."""
    strength = float(np.exp(rng.uniform(np.log(0.002), np.log(0.02))))
    total = np.zeros((HALF, HALF), np.float32)
    for cells in (24, 60, 130):
        # What lies over the body lies in patches.
        patch = np.clip(cloud(rng, 5) + np.float32(rng.uniform(-0.5, 1.0)), 0.0, 1.5)
        total += np.float32(strength * rng.uniform(0.3, 1.0)) * patch * cloud(rng, cells)
    page = np.zeros((HALF, HALF), np.uint8)
    for _ in range(int(rng.integers(0, 7))):
        # Folds and edges: long, soft, nearly straight.
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * HALF
        along = np.linspace(0.0, 1.0, 16)
        course = ends[0] + np.outer(along, ends[1] - ends[0]) + np.stack([wander(rng, 16, 6.0), wander(rng, 16, 6.0)], axis=1)
        value, width = rng.uniform(60, 255), int(rng.integers(1, 9))
        cv2.polylines(page, [np.round(course * 4).astype(np.int32)], False, value, width, cv2.LINE_AA, 2)
    soft = cv2.GaussianBlur(page, (0, 0), rng.uniform(1.0, 4.0)).astype(np.float32) / np.float32(255.0)
    return enlarge(total + np.float32(2.0 * strength * rng.choice([-1.0, 1.0])) * soft)


def enlarge(layer: Float) -> Float:
    """A half-size layer at the canvas's size."""
    return np.asarray(cv2.resize(layer, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def thorax(rng: np.random.Generator, view: View) -> Float:
    """The still part of the chest in `chest_view`: soft tissue, lungs with their vessels, mediastinum, aorta, ribs and spine.

    How strongly each shows is drawn, mostly evenly over the logarithm, as laboratories and bodies differ.
    """
    layer = tissue(rng, _log_uniform(rng, 0.04, 0.2))
    columns = np.linspace(-1.0, 1.0, HALF, dtype=np.float32)
    layer += np.float32(rng.normal(0, 0.15)) * columns + np.float32(rng.normal(0, 0.15)) * columns[:, None]
    air = _lungs(rng, view)
    layer -= np.float32(rng.uniform(0.3, 1.2)) * air * (1.0 + np.float32(_log_uniform(rng, 0.003, 0.03)) * cloud(rng, 90))
    layer += np.float32(_log_uniform(rng, 0.05, 0.5)) * _mediastinum(rng, view)
    if rng.random() < 0.35:
        layer += np.float32(_log_uniform(rng, 0.1, 0.8)) * _fold(rng)
    total = enlarge(layer)
    total += _log_uniform(rng, 0.3, 1.2) * _aorta(rng, view)
    in_lung = enlarge(np.clip(air * 2.5, 0.15, 1.0))
    total += np.float32(_log_uniform(rng, 0.6, 3.0)) * lungs.vessels(rng, view) * in_lung
    if rng.random() < 0.6:
        walls, gas = lungs.airways(rng, view)
        # Walls show in the lung; the gas within shows where tissue is around it.
        total += np.float32(_log_uniform(rng, 0.25, 1.0)) * (walls * in_lung - gas * (1.0 - in_lung))
    column = bones.column(rng)
    bony = np.float32(_log_uniform(rng, 0.08, 0.7)) * bones.ribs(rng, view, column)
    bony += np.float32(_log_uniform(rng, 0.2, 0.9)) * bones.spine(rng, view, column)
    if rng.random() < 0.12:
        bony += np.float32(_log_uniform(rng, 0.05, 0.25)) * bones.scapula(rng, view)
    uneven = np.clip(1.0 + np.float32(0.13) * cloud(rng, 9) + np.float32(0.05) * cloud(rng, 70), 0.2, 2.0)
    total += _bent(rng, bony, ((6, 5.0), (28, 0.9))) * enlarge(uneven)
    return total


def chest_shift(rng: np.random.Generator) -> Points:
    """Where the chest lies around the heart, [3] mm from `BODY`: hearts are nearer to the spine or farther to the left."""
    return mm(rng.normal(-5.0, 8.0), rng.uniform(-34.0, -2.0), 0.0)


def chest_view(view: View, shift: Points) -> View:
    """The view as the chest and what is fixed to it have it."""
    moved = view.project(np.stack([np.zeros(3), shift]))
    column, row = (float(v) for v in moved[1] - moved[0])
    return replace(view, offset=(view.offset[0] + column, view.offset[1] + row))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _fold(rng: np.random.Generator) -> Float:
    """The edge of something large and round that lies over the field from one side (dome, breast, arm), half size, 0..1."""
    radius = rng.uniform(0.5, 2.0) * HALF
    angle = rng.uniform(0.0, 2.0 * np.pi)
    away = radius + rng.uniform(0.05, 0.4) * HALF
    rows, columns = np.mgrid[0:HALF, 0:HALF].astype(np.float32) - np.float32(HALF / 2)
    inside = (
        1.0 - ((columns - np.float32(away * np.cos(angle))) ** 2 + (rows - np.float32(away * np.sin(angle))) ** 2) / radius**2
    )
    return np.asarray(np.sqrt(np.clip(inside, 0.0, None), dtype=np.float32), dtype=np.float32)


def _aorta(rng: np.random.Generator, view: View) -> Float:
    """The descending aorta beside the spine with its sharp edge against the lung, nepers, float32 [CANVAS,CANVAS]."""
    levels = np.linspace(rng.uniform(*_ARCH_MM), -190.0, 12)
    # It hardly leaves its axis, on which catheters and injected aortas lie.
    course = view.project(DESCENDING + np.stack([wander(rng, 12, 1.2, 2), wander(rng, 12, 1.2, 2), levels], axis=1))
    rows = np.arange(CANVAS, dtype=np.float32)
    middle = np.interp(rows, course[:, 1], course[:, 0]).astype(np.float32)[:, None]
    size = view.mm_per_pixel * 0.93
    below = (rows - course[0, 1]) * size / _ARCH_ROUND_MM  # the arch's top, which is round
    radius = (rng.uniform(11.0, 15.0) * np.sqrt(1.0 - np.clip(1.0 - below, 0.0, 1.0) ** 2)).astype(np.float32)[:, None]
    beside = (rows - middle) * np.float32(size)
    chord = 2.0 * np.sqrt(np.clip(radius**2 - beside**2, 0.0, None))
    return np.asarray(chord * np.float32(_TISSUE_PER_MM), dtype=np.float32)


def _lungs(rng: np.random.Generator, view: View) -> Float:
    """How far the beam runs in the lungs, in units of their attenuation missing; half size."""
    total = np.zeros((CANVAS // CELL, CANVAS // CELL), np.float32)
    for side in (-1.0, 1.0):
        centre = BODY + mm(side * rng.uniform(72, 92), rng.uniform(-15, 15), rng.uniform(0, 50))
        radii = np.array([rng.uniform(42, 60), rng.uniform(75, 95), rng.uniform(95, 130)])
        total += view.chord(centre, radii, CELL)
    full = cv2.resize(total, (HALF, HALF), interpolation=cv2.INTER_CUBIC) * np.float32(_LUNG_PER_MM)
    return warped(rng, np.asarray(full, dtype=np.float32))


def warped(rng: np.random.Generator, layer: Float) -> Float:
    """The half-size layer bent out of its geometric shape, by up to a few centimetres."""
    return _bent(rng, layer, ((3, 9.0), (7, 4.0), (24, 1.2)))


def _bent(rng: np.random.Generator, layer: Float, waves: Sequence[tuple[int, float]]) -> Float:
    """A layer of any size, bent by smooth noise of so many cells and pixels each."""
    size = len(layer)
    places = np.mgrid[0:size, 0:size].astype(np.float32)
    for place in places:
        bend = sum(np.float32(pixels) * cloud(rng, cells) for cells, pixels in waves)
        cv2.add(place, cv2.resize(bend, (size, size), interpolation=cv2.INTER_LINEAR), dst=place)
    rows, columns = places
    return np.asarray(cv2.remap(layer, columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE), dtype=np.float32)


def heart_shadow(view: View, heart: Heart) -> Float:
    """The blood-filled heart and the great vessels' root, nepers, float32 [CANVAS/CELL,CANVAS/CELL]."""
    long, wide = heart.length_mm, heart.radius_mm
    left = view.chord(heart.place([(0.45, 0.0, 0.0)])[0], mm(0.62 * long, 1.08 * wide, 1.05 * wide), CELL, heart.axes)
    right = view.chord(heart.place([(0.42, -0.8, 0.55)])[0], mm(0.54 * long, 0.8 * wide, 0.85 * wide), CELL, heart.axes)
    atria = view.chord(heart.place([(-0.05, 2.6, 0.6)])[0], mm(34.0, 30.0, 30.0), CELL)
    auricle = view.chord(heart.place([(0.0, -1.9, 0.75)])[0], mm(26.0, 28.0, 32.0), CELL)
    root = view.chord(heart.place([(-0.12, -0.6, 0.2)])[0] + mm(-4.0, 0.0, 22.0), mm(15.0, 15.0, 42.0), CELL)
    # Chambers run into each other: a smooth maximum leaves no creases between them.
    total = sum(chord**4 for chord in (left, right, atria, auricle, root))
    return np.asarray(np.sqrt(np.sqrt(total)) * np.float32(_TISSUE_PER_MM), dtype=np.float32)


def diaphragm(rng: np.random.Generator, view: View) -> Float:
    """Two domes below the heart with crisp edges, about 0..1; the scene moves them with the breath."""
    total = np.zeros((HALF, HALF), np.float32)
    for side in (-1.0, 1.0):
        tall = rng.uniform(45, 90)
        top = rng.uniform(-75, -15)
        centre = BODY + mm(side * rng.uniform(50, 80), rng.uniform(-25, 15), top - tall)
        radii = np.array([rng.uniform(55, 90), rng.uniform(60, 95), tall])
        total += view.chord(centre, radii, 2) / np.float32(170.0)
    soft = cv2.GaussianBlur(total, (0, 0), rng.uniform(0.5, 1.6))
    return enlarge(warped(rng, np.asarray(soft, dtype=np.float32)))


def half(points: Points) -> NDArray[np.int32]:
    """Canvas points as whole pixels of a half-size layer."""
    return np.round(points / 2).astype(np.int32)


def _mediastinum(rng: np.random.Generator, view: View) -> Float:
    """The broad shadow between the lungs from breastbone to spine, half size, 0..1: narrow from the front, wide if turned."""
    levels = np.linspace(220.0, -220.0, 14)
    sides = []
    for depth in (-55.0, 45.0):
        course = view.project(BODY + np.stack([np.full(14, 6.0), np.full(14, depth), levels], axis=1)) / 2
        course[:, 0] += wander(rng, 14, 4.0, 3)
        sides.append(course)
    wide = rng.uniform(20, 34) / view.mm_per_pixel / 2
    left, right = (edge(sides[0][:, 0], sides[1][:, 0]) + sign * wide for edge, sign in ((np.minimum, -1), (np.maximum, 1)))
    rows = (sides[0] + sides[1])[:, 1] / 2
    outline = np.vstack([np.stack([left, rows], axis=1), np.stack([right, rows], axis=1)[::-1]])
    page = np.zeros((HALF, HALF), np.float32)
    cv2.fillPoly(page, [np.round(outline).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), _log_uniform(rng, 0.8, 8.0)), dtype=np.float32)
