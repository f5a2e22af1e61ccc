"""Coronary trees as curves in millimetres on an ellipsoid heart: left (LAD, LCx), right (RCA, PDA, PL) and a bypass graft.

A place on the heart is (s, phi, r): s from base 0 to apex 1, phi about the long axis (0: anterior groove, positive:
lateral wall), r the share of the wall's radius.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomqc.phantom.projection import Points, smooth, wander


def _unit(vector: Points) -> Points:
    return np.divide(vector, np.linalg.norm(vector), dtype=np.float64)


_AXIS: Final = _unit(np.array([0.62, -0.50, -0.60]))
_FRONT: Final = _unit(np.array([0.15, -0.85, 0.50]) - _AXIS * float(_AXIS @ np.array([0.15, -0.85, 0.50])))
# The cross product points to the lateral wall of the left ventricle with this order of factors.
_SIDE: Final = np.cross(_FRONT, _AXIS) * (1.0 if float(np.cross(_FRONT, _AXIS) @ np.array([0.8, 0.5, 0.3])) > 0 else -1.0)
_MIDDLE: Final = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One vessel: points [N,3] in mm, diameter [N] in mm, and the way of the blood from the ostium [N] in mm."""

    points: Points
    diameter: Points
    distance: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """The ellipsoid that carries the vessels: long axis and largest radius in mm."""

    length_mm: float
    radius_mm: float

    def place(self, knots: Sequence[tuple[float, float, float]]) -> Points:
        """Knots (s, phi, r) as points [N,3] in mm, origin in the middle of the heart."""
        s, phi, r = np.array(knots, dtype=np.float64).T
        radius = self.radius_mm * r * np.sqrt(np.clip(1.0 - np.clip(s, 0.0, 1.0) ** 2.2, 0.02, 1.0))
        around = np.cos(phi)[:, None] * _FRONT + np.sin(phi)[:, None] * _SIDE
        points: Points = ((s - _MIDDLE) * self.length_mm)[:, None] * _AXIS + radius[:, None] * around
        return points

    def outline(self) -> Points:
        """Points [N,3] all over the wall, whose projection's hull is the heart's shadow."""
        knots = [(s, phi, 1.25) for s in np.linspace(-0.1, 1.0, 9) for phi in np.linspace(0, 2 * np.pi, 16)]
        return self.place(knots)


Knots = Sequence[tuple[float, float, float]]


def _branch(
    rng: np.random.Generator, heart: Heart, knots: Knots, diameter: tuple[float, float], *, start: float, wiggle: float = 1.0
) -> Branch:
    rough = smooth(heart.place(knots), 8)
    count = int(np.clip(np.linalg.norm(np.diff(rough, axis=0), axis=1).sum() / 1.6, 8, 110))
    points = smooth(heart.place(knots), count)
    points += np.stack([wander(rng, count, wiggle) for _ in range(3)], axis=1)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    wide, thin = diameter
    taper = wide + (thin - wide) * np.linspace(0.0, 1.0, count) ** 0.8
    return Branch(points=points, diameter=taper, distance=start + np.concatenate([[0.0], np.cumsum(steps)]))


def _side_branch(rng: np.random.Generator, heart: Heart, parent: Branch, at: float, delta: Knots, diameter: float) -> Branch:
    """A branch that leaves `parent` at the share `at` of its course; `delta` are (s, phi, r) knots, the first replaced."""
    index = int(at * (len(parent.points) - 1))
    made = _branch(rng, heart, delta, (diameter, 0.9), start=float(parent.distance[index]), wiggle=1.3)
    # The knots are where the wall says; the root is bent to where the parent really runs.
    pull = np.linspace(1.0, 0.0, len(made.points))[:, None] ** 1.5
    return Branch(
        points=made.points + (parent.points[index] - made.points[0]) * pull, diameter=made.diameter, distance=made.distance
    )


def left(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """Left main, LAD with diagonals and septals, LCx with marginals; the first branch begins at the ostium."""
    size = rng.uniform(0.85, 1.15)
    fork = (0.06, 0.3 + rng.normal(0, 0.06), 1.0)
    main = _branch(rng, heart, [(-0.10, 0.6, 0.35), (-0.02, 0.45, 0.7), fork], (4.4 * size, 4.0 * size), start=0.0, wiggle=0.4)
    end = float(main.distance[-1])
    lad = _branch(rng, heart, [fork, (0.3, 0.12, 1.05), (0.6, 0.0, 1.05), (0.97, -0.05, 1.0)], (3.6 * size, 1.1), start=end)
    last = rng.uniform(1.9, 2.6)
    lcx = _branch(rng, heart, [fork, (0.04, 0.9, 1.03), (0.08, 1.5, 1.05), (0.14, last, 1.0)], (3.2 * size, 1.3), start=end)
    branches = [main, lad, lcx]
    for at in np.linspace(0.15, 0.55, int(rng.integers(2, 4))):
        s, turn = 0.06 + 0.9 * at, rng.uniform(0.6, 1.0)
        knots = [(s, 0.15, 1.04), (s + 0.2, 0.15 + 0.6 * turn, 1.04), (min(s + 0.45, 0.95), 0.15 + turn, 1.0)]
        branches.append(_side_branch(rng, heart, lad, at, knots, rng.uniform(1.6, 2.3) * size))
    for at in np.linspace(0.12, 0.65, int(rng.integers(3, 6))):
        s = 0.06 + 0.9 * at
        branches.append(_side_branch(rng, heart, lad, at, [(s, 0.0, 1.0), (s + 0.06, -0.3, 0.8), (s + 0.14, -0.5, 0.5)], 1.0))
    for at in np.linspace(0.3, 0.9, int(rng.integers(2, 4))):
        phi, reach = 0.3 + (last - 0.3) * at, rng.uniform(0.55, 0.8)
        knots = [(0.08, phi, 1.03), (0.35, phi + 0.15, 1.05), (reach, phi + 0.2, 1.0)]
        branches.append(_side_branch(rng, heart, lcx, at, knots, rng.uniform(1.7, 2.5) * size))
    return branches + _twigs(rng, heart, branches[1:])


def right(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """RCA around the right groove with marginal, PDA and posterolateral branches."""
    size = rng.uniform(0.85, 1.15)
    rca = _branch(
        rng,
        heart,
        [(-0.10, -0.7, 0.4), (-0.02, -0.9, 0.9), (0.06, -1.5, 1.15), (0.1, -2.2, 1.15), (0.08, -2.9, 1.05)],
        (4.0 * size, 2.6 * size),
        start=0.0,
    )
    branches = [rca]
    for at in np.linspace(0.25, 0.6, int(rng.integers(2, 4))):
        phi = -0.7 - 2.2 * at
        knots = [(0.06, phi, 1.15), (0.3, phi + 0.1, 1.15), (rng.uniform(0.5, 0.75), phi + 0.3, 1.05)]
        branches.append(_side_branch(rng, heart, rca, at, knots, rng.uniform(1.2, 1.9) * size))
    pda = [(0.08, -2.9, 1.05), (0.35, -2.95, 1.05), (rng.uniform(0.65, 0.85), -2.9, 1.0)]
    branches.append(_side_branch(rng, heart, rca, 1.0, pda, 2.2 * size))
    for turn in np.linspace(0.35, 1.0, int(rng.integers(1, 4))):
        knots = [(0.08, -2.9, 1.05), (0.1, -2.9 - 0.6 * turn, 1.05), (0.45, -2.9 - turn, 1.0)]
        branches.append(_side_branch(rng, heart, rca, 1.0, knots, 1.8 * size))
    return branches + _twigs(rng, heart, branches)


def graft(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """A bypass graft: one long unbranched arc from the aorta to a short piece of native vessel."""
    phi = float(rng.choice([0.0, 0.9, 1.6, -2.9]))
    landing = rng.uniform(0.4, 0.6)
    arc = [(-0.38, phi * 0.5, 0.4), (-0.2, phi * 0.8, 1.15), (0.12, phi, 1.35), (landing, phi, 1.05)]
    body = _branch(rng, heart, arc, (3.9, 3.5), start=0.0, wiggle=0.8)
    native = _branch(
        rng,
        heart,
        [(landing, phi, 1.05), (landing + 0.2, phi, 1.05), (0.95, phi, 1.0)],
        (1.9, 0.8),
        start=float(body.distance[-1]),
    )
    return [body, native]


def _twigs(rng: np.random.Generator, heart: Heart, parents: Sequence[Branch]) -> list[Branch]:
    """Short second-order branches, so that no vessel runs bare."""
    twigs = []
    for parent in parents:
        for _ in range(int(rng.integers(0, 3))):
            index = int(rng.uniform(0.3, 0.9) * (len(parent.points) - 1))
            ahead = _unit(parent.points[min(index + 3, len(parent.points) - 1)] - parent.points[index - 3])
            course = ahead * 0.8 + rng.normal(0.0, 0.45, 3)
            count = int(rng.integers(10, 22))
            along = np.linspace(0.0, 1.0, count)[:, None]
            bend = np.stack([wander(rng, count, 1.2) for _ in range(3)], axis=1)
            points = parent.points[index] + along * course * heart.length_mm * rng.uniform(0.15, 0.3) + bend
            width = 0.7 * float(parent.diameter[index])
            run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
            twigs.append(
                Branch(
                    points=points,
                    diameter=np.linspace(min(width, 1.6), 0.6, count),
                    distance=float(parent.distance[index]) + run,
                )
            )
    return twigs
