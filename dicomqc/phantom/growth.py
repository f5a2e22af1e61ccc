"""Branches that grow on the heart's wall: courses through given places, offshoots, twigs, and calibres by Murray's law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import Points, smooth, wander
from dicomqc.phantom.tortuosity import Habit, sway, uneven

_STEP_MM: Final = 1.2
THINNEST_MM: Final = 0.4
_BEND_STEPS: Final = 9  # over which a branch keeps turning one way
_BEND: Final = 0.06  # radians a step
_TO_AIM: Final = 0.047  # of the way a step
_TO_DEPTH: Final = 0.06
# Orders of twigs: mm of the parent to one of them; where along it; and their length at 1 mm of calibre, in mm.
_ORDERS: Final = ((24.0, (0.12, 0.97), (22.0, 50.0)), (18.0, (0.15, 0.95), (15.0, 36.0)), (22.0, (0.2, 0.9), (10.0, 24.0)))
_LONGEST_MM: Final = 60.0
_WIDEST_MM: Final = 1.5  # of a twig
_EVEN_BELOW_MM: Final = 0.8
_FALL_PER_MM: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One vessel: points [N,3] in mm, their places on the wall [N,3], diameter [N] in mm, way from the ostium [N] in mm.

    Vessels of one `family` are drawn together; where two families cross, their shadows add up. `root_of_family`: the parent
    is of another. `collateral`: it fills through collaterals, and no reader counts it among what must be seen.
    """

    points: Points
    wall: Points
    diameter: Points
    distance: Points
    family: int
    root_of_family: bool = False
    collateral: bool = False

    def part(self, first: int, stop: int) -> "Branch":
        """Its points from `first` on and before `stop`."""
        own = slice(first, stop)
        return replace(
            self, points=self.points[own], wall=self.wall[own], diameter=self.diameter[own], distance=self.distance[own]
        )


def lengths(points: Points, start: float) -> Points:
    """The way along `points` [N,3] in mm, beginning at `start`."""
    return start + np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def winding(rng: np.random.Generator, heart: Heart, points: Points, diameter: Points, habit: Habit) -> Points:
    """The course `points` [N,3] in mm as a vessel of this calibre [N] in mm takes it, beginning where it begins."""
    aside = sway(rng, lengths(points, 0.0), diameter, habit)
    axis = heart.axes[0]
    away = points - np.outer(points @ axis, axis)
    away /= np.sqrt((away * away).sum(axis=1, keepdims=True)) + 1e-6
    ahead = np.empty_like(points)
    ahead[1:-1], ahead[0], ahead[-1] = points[2:] - points[:-2], points[1] - points[0], points[-1] - points[-2]
    # The cross product, numpy's own being slow.
    across = np.roll(ahead, -1, 1) * np.roll(away, 1, 1) - np.roll(ahead, 1, 1) * np.roll(away, -1, 1)
    across /= np.sqrt((across * across).sum(axis=1, keepdims=True)) + 1e-3
    moved = points + aside[:, :1] * across + aside[:, 1:] * away
    return np.asarray(moved - moved[0] + points[0], dtype=np.float64)


def roughened(rng: np.random.Generator, branches: Sequence[Branch], habit: Habit) -> list[Branch]:
    """The branches with calibres as uneven as this run's."""
    return [
        replace(b, diameter=uneven(rng, b.distance, b.diameter, habit)) if b.diameter[0] >= _EVEN_BELOW_MM else b
        for b in branches
    ]


def course(
    rng: np.random.Generator,
    heart: Heart,
    knots: Sequence[tuple[float, float, float]],
    diameter: tuple[float, float],
    *,
    start: float,
    wiggle: float,
    family: int,
    habit: Habit,
) -> Branch:
    """A main vessel through places on the wall, tortuous by `wiggle` mm, from one diameter to the other in mm."""
    rough = smooth(heart.place(smooth(np.array(knots), 24)), 24)
    count = int(np.clip(lengths(rough, 0.0)[-1] / _STEP_MM, 6, 170))
    wall = smooth(np.array(knots), count)
    wall[:, 0] += wander(rng, count, wiggle / heart.length_mm, 6)
    wall[:, 1] += wander(rng, count, wiggle / heart.radius_mm, 6)
    taper = diameter[0] + (diameter[1] - diameter[0]) * np.linspace(0.0, 1.0, count) ** 1.3
    points = winding(rng, heart, heart.place(wall), taper, habit)
    return Branch(points=points, wall=wall, diameter=taper, distance=lengths(points, start), family=family)


def calibres(parent: Branch, children: Sequence[tuple[int, float]], exponent: float) -> Branch:
    """`parent` narrowed at each child (index, share of the calibre there) by Murray's law, and by a slow taper between.

    Murray: the calibre to the power of `exponent` is kept at a fork.
    """
    loss = np.ones(len(parent.points))
    for index, share in children:
        loss[index:] *= (1.0 - share**exponent) ** (1.0 / exponent)
    narrowing = parent.diameter / np.maximum.accumulate(parent.diameter[::-1])[::-1]
    since = parent.distance - parent.distance[0]
    murray = parent.diameter[0] * loss * np.exp(-_FALL_PER_MM * since) * narrowing
    # Between Murray's law and the main vessel's own taper: real calibres follow neither to the letter.
    return replace(parent, diameter=np.maximum(np.sqrt(murray * parent.diameter), 0.5))


def offshoot(
    rng: np.random.Generator,
    heart: Heart,
    parent: Branch,
    index: int,
    *,
    turn: float,
    length_mm: float,
    size: float,
    habit: Habit,
    aim: float | None = None,
    r: float = 1.03,
) -> Branch:
    """A branch that leaves `parent` at point `index`, turned by `turn` radians, `size` mm wide at its root.

    `aim` is the heading it bends to (0: the apex, positive: greater phi); None keeps its own. `r` is the depth it runs to.
    """
    near = parent.wall[max(index - 4, 0)]
    ahead = parent.wall[min(index + 4, len(parent.wall) - 1)] - near
    here = float(parent.wall[index, 0])
    heading = float(np.arctan2(ahead[1] * heart.radius_at(here), ahead[0] * heart.length_mm)) + turn
    count = max(int(length_mm / _STEP_MM), 5)
    window = np.ones(_BEND_STEPS) / np.sqrt(_BEND_STEPS)
    bends = np.convolve(rng.normal(0.0, _BEND, count + _BEND_STEPS - 1), window, "valid")
    wall = _walk(heart, parent.wall[index], heading, bends, aim=aim, r=r)
    end = min(size, max(THINNEST_MM, size * rng.uniform(0.3, 0.5)))
    diameter = size + (end - size) * np.linspace(0.0, 1.0, count) ** 0.9
    points = winding(rng, heart, heart.place(wall), diameter, habit)
    points += parent.points[index] - points[0]
    return Branch(
        points=points,
        wall=wall,
        diameter=diameter,
        distance=lengths(points, float(parent.distance[index])),
        family=parent.family,
        collateral=parent.collateral,
    )


def _walk(heart: Heart, start: Points, heading: float, bends: Points, *, aim: float | None, r: float) -> Points:
    """A way over the wall from `start`, one step for each of `bends` in radians: [N,3] as in `Branch.wall`."""
    s, phi, depth = (float(v) for v in start)
    wall = np.empty((len(bends), 3))
    # Plain floats: numpy's functions of single numbers would take most of the time that a tree takes.
    for i, bend in enumerate(bends.tolist()):
        wall[i] = s, phi, depth
        if aim is not None:
            heading += _TO_AIM * math.sin(aim - heading)
        heading += bend
        s += _STEP_MM * math.cos(heading) / heart.length_mm
        if s > 0.98:
            s, heading = 0.98, math.copysign(math.pi / 2, math.sin(heading))
        phi += _STEP_MM * math.sin(heading) / max(heart.radius_at(s) * depth, 8.0)
        depth += (r - depth) * _TO_DEPTH
    return wall


def twigs(rng: np.random.Generator, heart: Heart, parents: Sequence[Branch], exponent: float, habit: Habit) -> list[Branch]:
    """Three further orders of long, thin branches: at each fork the smaller daughter, as long as befits its calibre."""
    made: list[Branch] = []
    order = list(parents)
    for spacing, along, reach in _ORDERS:
        fresh = []
        for parent in order:
            length = float(parent.distance[-1] - parent.distance[0])
            for _ in range(int(rng.poisson(length / spacing))):
                index = int(rng.uniform(*along) * (len(parent.points) - 1))
                share = rng.uniform(0.35, 0.75)
                size = float(parent.diameter[index]) * share * (1.0 - share**exponent) ** (0.5 / exponent)
                if size < THINNEST_MM + 0.05:
                    continue
                side, turn = float(rng.choice([-1.0, 1.0])), np.radians(rng.uniform(20, 70))
                far = min(rng.uniform(*reach) * size**0.8, _LONGEST_MM)
                depth = float(parent.wall[-1, 2])
                # On the wall they turn towards the apex as their parents do; in the septum and at the base they do not.
                aim = side * rng.uniform(0.1, 1.0)
                fresh.append(
                    offshoot(
                        rng,
                        heart,
                        parent,
                        index,
                        turn=side * turn,
                        length_mm=far,
                        size=min(size, _WIDEST_MM),
                        habit=habit,
                        aim=aim if 0.8 < depth < 1.08 else None,
                        r=depth,
                    )
                )
        made += fresh
        order = fresh
    return made
