"""The places of puncture: groin and forearm, as bone and soft tissue, and the arteries that are punctured there."""

import cv2
import numpy as np

from dicomqc.phantom.anatomy import HALF, cloud, enlarge, tissue
from dicomqc.phantom.growth import Branch, lengths
from dicomqc.phantom.projection import Float, Points, View, smooth, wander


def groin(rng: np.random.Generator) -> Float:
    """Femoral head and shaft, acetabulum and soft tissue."""
    page = np.zeros((HALF, HALF), np.uint8)
    x, y = int(rng.uniform(0.35, 0.65) * HALF), int(rng.uniform(0.3, 0.5) * HALF)
    radius = int(rng.uniform(38, 50))
    side = int(rng.choice([-1, 1]))
    cv2.ellipse(page, (x - side * 10, y - 45), (130, 75), side * 25.0, 0, 360, 45.0, -1)
    shaft = np.array([[x, y], [x + side * 70, y + 70], [x + side * 80, y + 240]], np.int32)
    cv2.polylines(page, [shaft], False, 70.0, 46)
    cv2.circle(page, (x, y), radius, 90.0, -1)
    cv2.circle(page, (x, y), radius + 4, 120.0, 3)
    return _with_tissue(rng, page)


def forearm(rng: np.random.Generator) -> Float:
    """Radius and ulna, or at the elbow their joint, in a slim limb with air on both sides."""
    page = np.zeros((HALF, HALF), np.uint8)
    rows = np.linspace(-20, HALF + 20, 12)
    middle = HALF / 2 + rng.normal(0, 15) + wander(rng, 12, 5.0, 2)
    apart = rng.uniform(16, 34)
    for side in (-1.0, 1.0):
        curve = np.stack([middle + side * (apart + wander(rng, 12, 3.0, 2)), rows], axis=1).astype(np.int32)
        wide = int(rng.uniform(20, 32))
        cv2.polylines(page, [curve], False, 120.0, wide, cv2.LINE_AA)
        cv2.polylines(page, [curve], False, 70.0, int(wide * 0.6), cv2.LINE_AA)
    layer = _with_tissue(rng, page)
    limb = np.zeros((HALF, HALF), np.uint8)
    cv2.polylines(limb, [np.stack([middle, rows], axis=1).astype(np.int32)], False, 255.0, int(rng.uniform(150, 240)))
    soft = enlarge(cv2.GaussianBlur(limb, (0, 0), 4.0).astype(np.float32) / 255.0)
    return np.asarray(layer + np.float32(rng.uniform(0.4, 1.0)) * soft, dtype=np.float32)


def _with_tissue(rng: np.random.Generator, page: np.ndarray) -> Float:
    bone = cv2.GaussianBlur(page, (0, 0), rng.uniform(1.2, 2.4)).astype(np.float32) / 100.0
    layer = tissue(rng, rng.uniform(0.1, 0.3)) + np.float32(rng.uniform(0.35, 0.8)) * bone * (1.0 + 0.06 * cloud(rng, 90))
    return enlarge(np.asarray(layer, dtype=np.float32))


def _tube(points: Points, diameter: Points, family: int) -> Branch:
    return Branch(points=points, wall=np.zeros_like(points), diameter=diameter, distance=lengths(points, 0.0), family=family)


def artery(rng: np.random.Generator) -> list[Branch]:
    """The punctured artery and its deep branch, along the image whatever the view; contrast and sheath share it."""
    lean, fork = rng.uniform(-25, 25), rng.uniform(-30, 20)
    knots = np.array([[-lean, 0.0, 95.0], [-0.3 * lean, 0.0, 40.0], [0.0, 0.0, fork], [lean, 0.0, -100.0]])
    size = rng.uniform(0.4, 1.0)
    main = _tube(smooth(knots, 60), np.linspace(8.0, 6.0, 60) * size, 0)
    deep = np.array([[0.0, 0.0, fork], [-14.0, 0.0, fork - 25.0], [-22.0, 0.0, -90.0]])
    return [main, _tube(smooth(deep, 40), np.linspace(5.5, 3.0, 40) * size, 1)]


def facing(branches: list[Branch], view: View) -> list[Branch]:
    """The branches turned so that they lie in the image's plane."""
    right, up, _ = view.axes
    return [
        Branch(
            points=np.outer(b.points[:, 0], right) + np.outer(b.points[:, 2], up),
            wall=b.wall,
            diameter=b.diameter,
            distance=b.distance,
            family=b.family,
        )
        for b in branches
    ]


def aorta(rng: np.random.Generator, ostium: Points, descending: Points) -> list[Branch]:
    """The root with its sinuses, the ascending aorta and the arch, with three thin arteries off the arch.

    `ostium` [3] and a point [3] in the descending aorta, whose height is any, mm.
    """
    across, back, _ = descending - ostium
    knots = np.array([[0, 0, -8], [-8, 0, 18], [-14, 0.11 * back, 48], [0.5 * across - 7.0, 0.45 * back, 72]])
    knots = np.vstack([knots, [[across, (0.86 if up > 0 else 1.0) * back, up] for up in (52.0, 0.0, -90.0, -230.0)]])
    points = smooth(ostium + knots, 80)
    width = rng.uniform(24, 34)
    main = _tube(points, width * (1.0 + 0.35 * np.exp(-np.linspace(0, 24, 80))), 0)
    arteries = [
        _tube(points[at] + np.linspace(0, 1, 20)[:, None] * np.array([rng.normal(0, 25), 0.0, 80.0]), np.full(20, 7.0), 1)
        for at in (32, 37, 42)
    ]
    return [main, *arteries]
