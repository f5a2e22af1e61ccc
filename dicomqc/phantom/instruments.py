"""Catheters, guide wires, leads and their kin as strands that move with the heart."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart, unit
from dicomqc.phantom.motion import Motion
from dicomqc.phantom.projection import Points, mm, smooth, wander
from dicomqc.phantom.tubes import Strand

_POINTS: Final = 90
_JOINED_MM: Final = 1.0
_MARKERS: Final = 0.4  # of what lies on a wire is a balloon that is not inflated…
_INFLATED: Final = 0.3  # …or is; the others are burrs
# Where a catheter's curve is bent, by shape, from the tip upwards, mm: (across, back, up).
_SHAPES: Final = {
    "judkins_left": ((-9, 2, 1), (-26, 6, 12), (-22, 10, 42)),
    "judkins_right": ((-6, 4, 4), (-14, 10, 20), (-12, 12, 48)),
    "amplatz": ((-7, -2, -5), (-22, 4, -9), (-24, 8, 18)),
    "extra_backup": ((-8, 3, 3), (-30, 2, 4), (-26, 10, 34)),
    "multipurpose": ((-5, 5, 12), (-9, 9, 30), (-11, 12, 52)),
}


def catheter_course(rng: np.random.Generator, tip: Points, shape: str, descending: Points, *, from_arm: bool) -> Points:
    """The way of a catheter from the groin or the arm through the aorta to `tip` [3], points [90,3] in mm.

    `descending` [3] is a point in the descending aorta, whose height is any.
    """
    bends = [tip + np.array(v) * rng.uniform(0.8, 1.2) + rng.normal(0, 2.0, 3) for v in _SHAPES[shape]]
    top = bends[-1]
    if from_arm:
        way = [top + mm(-75.0, 20.0, 105.0), top + mm(-42.0, 15.0, 60.0), top + mm(-14.0, 6.0, 26.0)]
    else:
        across, back, _ = descending
        way = [
            *(mm(across + rng.uniform(-6, 6), back + rng.uniform(-4, 4), tip[2] + up) for up in (-190.0, -40.0)),
            mm(across, 0.86 * back + 0.14 * top[1], top[2] + 10.0),
            mm(0.6 * across + 0.4 * top[0], 0.55 * back + 0.45 * top[1], top[2] + 42.0),
            top + mm(2.0, 12.0, 28.0),
        ]
    return smooth(np.array([*way, *bends[::-1], tip]), _POINTS)


def shape_for(rng: np.random.Generator, side: str) -> str:
    """A usual catheter of this side."""
    left, right = ("judkins_left", "extra_backup", "amplatz", "multipurpose"), ("judkins_right", "amplatz", "multipurpose")
    return str(rng.choice(left, p=[0.55, 0.25, 0.1, 0.1]) if side == "left" else rng.choice(right, p=[0.7, 0.15, 0.15]))


def pigtail(course: Points) -> Points:
    """The course with a ring at its tip."""
    angle = np.linspace(0.0, 1.75 * np.pi, 26)[:, None]
    ring = 6.5 * ((np.cos(angle) - 1.0) * mm(1.0, 0.0, 0.15) + np.sin(angle) * mm(0.1, 0.3, -1.0))
    return np.vstack([course, course[-1] + ring])


def catheter(rng: np.random.Generator, heart: Heart, motion: Motion, course: Points, npm: float) -> list[Strand]:
    """A 4 to 7 French tube with denser walls whose lumen fills with the injection; its tip follows the ostium.

    `npm` is what a millimetre of contrast attenuates, nepers.
    """
    count = len(course)
    width = float(rng.choice([1.35, 1.67, 2.0, 2.33], p=[0.1, 0.3, 0.5, 0.1]))
    dense = rng.uniform(0.16, 0.42) / npm
    shift = motion.shift(heart, course) * np.linspace(0.0, 1.0, count)[:, None] ** 2
    wall = Strand(
        points=course,
        shift=shift,
        width=np.full(count, width),
        depth=np.full(count, dense),
        way=None,
        page=0,
        flat=True,
    )
    inner = Strand(
        points=course,
        shift=shift,
        width=np.full(count, 0.6 * width),
        depth=np.full(count, dense * rng.uniform(0.65, 1.0)),
        way=None,
        page=0,
        flat=True,
    )
    return [wall, inner]


def lumen(wall: Strand) -> Strand:
    """The inside of a catheter of this `wall`, which the contrast medium fills as it fills the ostium."""
    half = wall.width * 0.6
    # A fast stream: the whole of it fills within a frame, when the ostium does.
    way = np.zeros(len(half))
    return Strand(points=wall.points, shift=wall.shift, width=half, depth=half * 0.9, way=way, page=1)


def wire_in_vessels(rng: np.random.Generator, tip: Points, branches: Sequence[Branch]) -> Points:
    """The way [N,3] in mm of a wire from the catheter's `tip` [3] down the first branch and one that goes on at its end."""
    first = branches[0]
    joined = [b for b in branches[1:] if np.linalg.norm(b.points[0] - first.points[-1]) < _JOINED_MM and not b.collateral]
    far = rng.uniform(0.6, 0.95)
    ways = [first.points]
    if joined:
        second = joined[int(rng.integers(len(joined)))]
        ways.append(second.points[1 : max(int(len(second.points) * far), 4)])
    gap = float(np.linalg.norm(tip - first.points[0]))
    if gap > _JOINED_MM:
        ways.insert(0, np.linspace(tip, first.points[0], 2 + int(gap))[:-1])
    return np.vstack(ways)


def free_wire(rng: np.random.Generator, course: Points) -> Points:
    """The way [N,3] in mm of a wire that stands out of a catheter's end with its J, where that is in no vessel's mouth."""
    ahead = unit(course[-1] - course[-3])
    aside = unit(np.cross(ahead, rng.normal(0.0, 1.0, 3)))
    straight = np.linspace(0.0, rng.uniform(8.0, 45.0), 24)[:, None]
    angle = np.linspace(0.0, rng.uniform(0.9, 1.4) * np.pi, 14)[1:, None]
    hook = 3.0 * (np.sin(angle) * ahead + (1.0 - np.cos(angle)) * aside)
    shaft = course[-1] + straight * ahead + straight**2 * rng.normal(0.0, 0.004) * aside
    return np.vstack([shaft, shaft[-1] + hook])


def guide_wire(
    rng: np.random.Generator, heart: Heart, motion: Motion, way: Points, npm: float, *, treated: bool
) -> list[Strand]:
    """A 0.36 mm wire on its `way` [N,3] in mm, its last 2 cm denser; `treated` adds what treats on it."""
    points = way + np.stack([wander(rng, len(way), 0.25) for _ in range(3)], axis=1)
    shift = motion.shift(heart, points)
    depth = np.full(len(points), rng.uniform(0.08, 0.35) / npm)
    width = np.full(len(points), 0.36)
    depth[-17:], width[-17:] = rng.uniform(0.5, 0.9) / npm, 0.45
    strands = [Strand(points=points, shift=shift, width=width, depth=depth, way=None, page=1, flat=True)]
    return strands + (_treating(rng, points, shift, npm) if treated else [])


def _treating(rng: np.random.Generator, points: Points, shift: Points, npm: float) -> list[Strand]:
    """A balloon on the wire `points` [N,3] by its markers alone, or inflated, or a burr, with the shaft that it came on."""

    def piece(first: int, stop: int, width: float, nepers: float) -> Strand:
        own = slice(first, stop)
        size = len(points[own])
        at = points[own], shift[own], np.full(size, width), np.full(size, nepers / npm)
        return Strand(points=at[0], shift=at[1], width=at[2], depth=at[3], way=None, page=1, flat=True)

    at = int(rng.uniform(0.35, 0.7) * len(points))
    end = min(at + int(rng.integers(9, 21)), len(points) - 2)
    sort = rng.random()
    if sort < _MARKERS:
        return [piece(index, index + 2, 1.0, 0.9) for index in (at, end)]
    shaft = piece(0, at + 1, rng.uniform(0.8, 1.3), rng.uniform(0.05, 0.3))
    if sort < _MARKERS + _INFLATED:
        markers = [piece(index, index + 2, 1.0, 0.9) for index in (at, end)]
        return [shaft, piece(at, end + 1, rng.uniform(2.0, 3.8), rng.uniform(0.1, 0.5)), *markers]
    burr = at + int(rng.integers(3, 14))
    return [shaft, piece(at, min(burr, len(points) - 1) + 1, rng.uniform(1.3, 2.2), rng.uniform(0.6, 1.6))]


def stents(rng: np.random.Generator, heart: Heart, motion: Motion, branches: Sequence[Branch], npm: float) -> list[Strand]:
    """One or two stents in the wider vessels: a faint tube with denser edges, which is there without contrast too."""
    wide = [b for b in branches if b.diameter[0] >= 2.2 and len(b.points) > 18]
    strands = []
    for _ in range(int(rng.integers(1, 3)) if wide else 0):
        vessel = wide[int(rng.integers(len(wide)))]
        first = int(rng.uniform(0.05, 0.7) * (len(vessel.points) - 12))
        piece = vessel.part(first, first + int(rng.integers(9, 24)))
        dense, shift = rng.uniform(0.02, 0.12) / npm, motion.shift(heart, piece.points)
        for part, share in ((1.0, 1.0), (0.75, 0.55)):
            size = len(piece.points)
            width, depth = piece.diameter * part, np.full(size, dense * share)
            strands.append(Strand(points=piece.points, shift=shift, width=width, depth=depth, way=None, page=1, flat=True))
    return strands


def pacing_lead(rng: np.random.Generator, heart: Heart, motion: Motion, npm: float) -> list[Strand]:
    """A pacing lead from the right shoulder's vein to the right ventricle's tip, with its electrodes."""
    tip = heart.place([(rng.uniform(0.75, 0.95), -1.2, 0.6)])[0]
    way = [mm(-55, -10, 190), mm(-48, 5, 110), mm(-45, 10, 40), heart.place([(0.15, -1.8, 0.7)])[0], tip]
    points = smooth(np.array(way) + rng.normal(0, 4, (5, 3)), 70)
    count = len(points)
    depth = np.full(count, rng.uniform(0.2, 0.5) / npm)
    depth[-3:] = 1.2 / npm
    width = np.full(count, rng.uniform(1.2, 2.2))
    return [Strand(points=points, shift=motion.shift(heart, points), width=width, depth=depth, way=None, page=0, flat=True)]


def sheath(artery: Points, npm: float) -> list[Strand]:
    """An introducer sheath inside the lower half of the artery [N,3] in mm."""
    points = artery[len(artery) // 2 :]
    count = len(points)
    still = np.zeros((count, 3))
    return [
        Strand(
            points=points,
            shift=still,
            width=np.full(count, part),
            depth=np.full(count, dense / npm),
            way=None,
            page=0,
            flat=True,
        )
        for part, dense in ((2.7, 0.35), (1.6, 0.24))
    ]
