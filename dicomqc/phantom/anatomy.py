"""What lies behind and around the vessels: lungs, mediastinum, spine, ribs, diaphragm, heart shadow.

Every layer is attenuation in nepers, float32 [CANVAS,CANVAS]. Layers are drawn at half size: bone has no finer detail here.
`limbs` draws the places of puncture.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.contrast import CELL
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm, wander

HALF: Final = CANVAS // 2
_BODY: Final = np.array([-25.0, 35.0, 0.0])  # the thorax's axis, seen from the middle of the heart, mm
_LUNG_PER_MM: Final = 0.0075
_TISSUE_PER_MM: Final = 0.0085


def cloud(rng: np.random.Generator, cells: int, size: int = HALF) -> Float:
    """Smooth noise of unit spread with about `cells` cells across."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def tissue(rng: np.random.Generator, strength: float) -> Float:
    """Uneven soft tissue whose detail falls off as in real bodies, half size: each octave weaker by a random power."""
    fall = rng.uniform(0.8, 1.25)
    total = np.zeros((HALF, HALF), np.float32)
    for cells in (3, 6, 12, 24, 48, 96, 160):
        total += np.float32(strength * (3.0 / cells) ** fall) * cloud(rng, cells)
    return total


def clutter(rng: np.random.Generator) -> Float:
    """Fine uneven shadows of clothes, cables' slack, skin folds and gas, from none to as strong as small vessels."""
    strength = float(np.exp(rng.uniform(np.log(0.002), np.log(0.05))))
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
    """The still part of the chest: soft tissue, lungs with their vessels, mediastinum, ribs and spine."""
    layer = tissue(rng, rng.uniform(0.08, 0.3))
    columns = np.linspace(-1.0, 1.0, HALF, dtype=np.float32)
    layer += np.float32(rng.normal(0, 0.15)) * columns + np.float32(rng.normal(0, 0.15)) * columns[:, None]
    air = _lungs(rng, view)
    layer -= np.float32(rng.uniform(0.3, 1.1)) * air * (1.0 + 0.035 * cloud(rng, 40) + 0.03 * cloud(rng, 110))
    layer += np.float32(rng.uniform(0.02, 0.1)) * _lung_vessels(rng) * np.clip(air * 2.0, 0.0, 1.0)
    layer += np.float32(rng.uniform(0.1, 0.6)) * _mediastinum(rng, view)
    layer += np.float32(rng.uniform(0.15, 0.8)) * _ribs(rng, view)
    layer += np.float32(rng.uniform(0.25, 1.1)) * _spine(rng, view) * (1.0 + 0.12 * cloud(rng, 60) + 0.25 * cloud(rng, 14))
    return enlarge(layer)


def _lungs(rng: np.random.Generator, view: View) -> Float:
    """How far the beam runs in the lungs, in units of their attenuation missing; half size."""
    total = np.zeros((CANVAS // CELL, CANVAS // CELL), np.float32)
    for side in (-1.0, 1.0):
        centre = _BODY + mm(side * rng.uniform(72, 92), rng.uniform(-15, 15), rng.uniform(0, 50))
        radii = np.array([rng.uniform(42, 60), rng.uniform(75, 95), rng.uniform(95, 130)])
        total += view.chord(centre, radii, CELL)
    full = cv2.resize(total, (HALF, HALF), interpolation=cv2.INTER_CUBIC) * np.float32(_LUNG_PER_MM)
    return warped(rng, np.asarray(full, dtype=np.float32))


def warped(rng: np.random.Generator, layer: Float) -> Float:
    """The half-size layer bent out of its geometric shape, by up to a few centimetres."""
    rows, columns = np.mgrid[0:HALF, 0:HALF].astype(np.float32)
    bend = [9.0 * cloud(rng, 3) + 4.0 * cloud(rng, 7) + 1.2 * cloud(rng, 24) for _ in range(2)]
    return np.asarray(
        cv2.remap(layer, columns + bend[0], rows + bend[1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE), dtype=np.float32
    )


def _lung_vessels(rng: np.random.Generator) -> Float:
    """Thin winding shadows that run out from the hilum, half size, about 0..1."""
    page = np.zeros((HALF, HALF), np.uint8)
    hub = rng.uniform(0.2, 0.8, 2) * HALF
    for _ in range(int(rng.integers(40, 120))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(20, 120)
        start = hub + rng.normal(0, 90, 2)
        along = np.linspace(0.0, 1.0, 18)
        bend = wander(rng, 18, 4.0, 3)
        ray, side = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        points = start + np.outer(along * reach, ray) + np.outer(bend, side)
        width = int(rng.integers(1, 4))
        cv2.polylines(page, [np.round(points * 4).astype(np.int32)], False, rng.uniform(70, 255), width, cv2.LINE_AA, 2)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 1.1).astype(np.float32) / 255.0, dtype=np.float32)


def heart_shadow(view: View, heart: Heart) -> Float:
    """The blood-filled heart and the great vessels' root, nepers, float32 [CANVAS/CELL,CANVAS/CELL]."""
    middle = heart.place([(0.45, 0.0, 0.0)])[0]
    radii = np.array([0.62 * heart.length_mm, 1.12 * heart.radius_mm, 1.12 * heart.radius_mm])
    chord = view.chord(middle, radii, CELL, heart.axes)
    atria = view.chord(heart.place([(-0.05, 2.6, 0.6)])[0], np.array([34.0, 30.0, 30.0]), CELL)
    return np.asarray(cv2.max(chord, atria) * np.float32(_TISSUE_PER_MM), dtype=np.float32)


def diaphragm(rng: np.random.Generator, view: View) -> Float:
    """Two domes below the heart with crisp edges, about 0..1; the scene moves them with the breath."""
    total = np.zeros((HALF, HALF), np.float32)
    for side in (-1.0, 1.0):
        tall = rng.uniform(45, 90)
        top = rng.uniform(-75, -15)
        centre = _BODY + mm(side * rng.uniform(50, 80), rng.uniform(-25, 15), top - tall)
        radii = np.array([rng.uniform(55, 90), rng.uniform(60, 95), tall])
        total += view.chord(centre, radii, 2) / np.float32(170.0)
    soft = cv2.GaussianBlur(total, (0, 0), rng.uniform(0.5, 1.6))
    return enlarge(warped(rng, np.asarray(soft, dtype=np.float32)))


def half(points: Points) -> NDArray[np.int32]:
    """Canvas points as whole pixels of a half-size layer."""
    return np.round(points / 2).astype(np.int32)


def _mediastinum(rng: np.random.Generator, view: View) -> Float:
    """The broad shadow of great vessels and sternum in the middle of the chest."""
    middle = float(view.project(np.array([[_BODY[0] + 8.0, _BODY[1], 0.0]]))[0, 0]) / 2
    page = np.zeros((HALF, HALF), np.float32)
    wide = rng.uniform(28, 50) / view.mm_per_pixel / 2
    rows = np.arange(0, HALF + 8, 8)
    left = middle - wide + wander(rng, len(rows), 8.0)
    right = middle + wide + wander(rng, len(rows), 8.0)
    outline = np.vstack([np.stack([left, rows], axis=1), np.stack([right, rows], axis=1)[::-1]])
    cv2.fillPoly(page, [np.round(outline).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), rng.uniform(2.0, 10.0)), dtype=np.float32)


def _ribs(rng: np.random.Generator, view: View) -> Float:
    """Ribs as bands with denser edges on an elliptic chest that slope down to the front."""
    total = np.zeros((HALF, HALF), np.float32)
    theta = np.linspace(0.12, 2.6, 24)
    tall = rng.uniform(9, 13) / view.mm_per_pixel / 2
    slope, phase = rng.uniform(50, 90), rng.uniform(0, 28)
    for level in np.arange(-150.0, 190.0, 28.0) + phase:
        for side in (-1.0, 1.0):
            points = _BODY + np.stack(
                [side * 132 * np.sin(theta), 92 * np.cos(theta), level - slope * (1 - np.cos(theta)) / 2], axis=1
            )
            page = np.zeros((HALF, HALF), np.uint8)
            curve = [half(view.project(points)).reshape(-1, 1, 2)]
            cv2.polylines(page, curve, False, 120.0, max(int(tall), 2), cv2.LINE_AA)
            cv2.polylines(page, curve, False, 75.0, max(int(tall * 0.75), 1), cv2.LINE_AA)
            total += page
    return np.asarray(cv2.GaussianBlur(total, (0, 0), 1.2) / 1300.0, dtype=np.float32)


def _spine(rng: np.random.Generator, view: View) -> Float:
    """Vertebral bodies with brighter discs between them, end plates, pedicles and spinous processes."""
    page = np.zeros((HALF, HALF), np.uint8)
    scale = 1.0 / view.mm_per_pixel / 2
    wide, tall, pitch = rng.uniform(15, 20) * scale, 10.5 * scale, rng.uniform(23.0, 29.0)
    levels = np.arange(-160.0, 180.0, pitch) + rng.uniform(0, pitch)
    lean = rng.normal(0, 0.04)
    for level in levels:
        u, v = view.project((_BODY + mm(rng.normal(0, 0.8) + lean * level, 58.0, level))[None])[0] / 2
        corners = np.array([[-0.95, -1.0], [0.95, -1.0], [0.85, 0.0], [0.98, 1.0], [-0.98, 1.0], [-0.85, 0.0]])
        body = np.round(np.array([u, v]) + corners * (wide, tall)).astype(np.int32)
        disc = np.round(np.array([u, v + tall + 1.2 * scale]) + corners[[0, 1, 3, 4]] * (0.9 * wide, 2.0 * scale)).astype(
            np.int32
        )
        cv2.fillPoly(page, [disc], 55.0, cv2.LINE_AA)
        cv2.fillPoly(page, [body], 88.0, cv2.LINE_AA)
        cv2.polylines(page, [body], True, 118.0, 2, cv2.LINE_AA)
        for side in (-0.6, 0.6):
            centre = (int(u + side * wide), int(v - tall * 0.2))
            cv2.ellipse(page, centre, (int(4 * scale), int(6 * scale)), 0, 0, 360, 140.0, 1)
        cv2.ellipse(page, (int(u), int(v + tall * 0.6)), (int(2.5 * scale), int(8 * scale)), 0, 0, 360, 125.0, -1)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), rng.uniform(0.9, 2.4)).astype(np.float32) / 330.0, dtype=np.float32)
