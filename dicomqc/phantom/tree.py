"""Coronary trees as curves in millimetres on an ellipsoid heart, grown with Murray's law down to 0.4 mm.

A place on the heart is (s, phi, r): s from base 0 to apex 1, phi about the long axis (0: anterior groove, positive:
lateral wall), r the share of the wall's radius. `growth` makes the branches, this module says which vessel runs where.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dicomqc.phantom.growth import Branch, calibres, course, offshoot, twigs
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import Points, mm, smooth

_LEFT_DOMINANT: Final = 0.1  # share; all others are right dominant
_OCCLUDED: Final = 0.06  # of the large vessels; of a lab's patients one in six to seven has a chronic occlusion
_ROUNDABOUT_MM: Final = (150.0, 400.0)  # of collaterals, by which what lies beyond an occlusion fills late


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Side branches of one vessel: how many, where along it, turn in degrees, length in mm, share of its calibre."""

    count: tuple[int, int]
    along: tuple[float, float]
    turn_deg: tuple[float, float]
    length_mm: tuple[float, float]
    share: tuple[float, float]
    depth: float = 1.03
    aim_deg: float | None = 0.0


_DIAGONALS: Final = _Side(
    count=(2, 4), along=(0.12, 0.55), turn_deg=(25, 60), length_mm=(45, 80), share=(0.55, 0.78), aim_deg=22.0
)
_SEPTALS: Final = _Side(
    count=(4, 8), along=(0.08, 0.7), turn_deg=(-80, -50), length_mm=(18, 40), share=(0.25, 0.42), depth=0.5, aim_deg=None
)
_MARGINALS: Final = _Side(count=(2, 4), along=(0.2, 0.95), turn_deg=(-75, -40), length_mm=(50, 90), share=(0.6, 0.85))
_ATRIALS: Final = _Side(
    count=(0, 2), along=(0.1, 0.5), turn_deg=(60, 110), length_mm=(15, 35), share=(0.25, 0.4), aim_deg=None, depth=1.1
)
_ACUTE: Final = _Side(count=(2, 4), along=(0.2, 0.7), turn_deg=(40, 75), length_mm=(30, 65), share=(0.35, 0.55))
_CONUS: Final = _Side(
    count=(1, 2), along=(0.05, 0.15), turn_deg=(70, 120), length_mm=(15, 40), share=(0.3, 0.42), aim_deg=None, depth=1.15
)


def _spread(
    rng: np.random.Generator, heart: Heart, parent: Branch, sides: Sequence[tuple[_Side, float]], exponent: float
) -> list[Branch]:
    """`parent` with its calibre after Murray's law, and its side branches; a second factor of -1 mirrors the turns."""
    wanted: list[tuple[int, float, _Side, float]] = []
    for side, mirror in sides:
        count = int(rng.integers(side.count[0], side.count[1] + 1))
        places: Sequence[float] = np.sort(rng.uniform(*side.along, count)).tolist()
        wanted += [(int(at * (len(parent.points) - 1)), float(rng.uniform(*side.share)), side, mirror) for at in places]
    wanted.sort(key=lambda w: w[0])
    parent = calibres(parent, [(index, share) for index, share, _, _ in wanted], exponent)
    made = [parent]
    for index, share, side, mirror in wanted:
        turn = np.radians(rng.uniform(*side.turn_deg)) * mirror
        aim = None if side.aim_deg is None else np.radians(side.aim_deg) * mirror
        size = float(parent.diameter[max(index - 1, 0)]) * share
        made.append(
            offshoot(
                rng, heart, parent, index, turn=turn, length_mm=rng.uniform(*side.length_mm), size=size, aim=aim, r=side.depth
            )
        )
    return made


def _diseased(rng: np.random.Generator, branch: Branch) -> Branch:
    """The branch with some narrowings of 30 to 85 %, as often in a lab's patients."""
    diameter = branch.diameter.copy()
    for _ in range(int(rng.poisson(0.5))):
        middle, width = rng.uniform(0.15, 0.9) * branch.distance[-1], rng.uniform(2.0, 7.0)
        close = np.exp(-(((branch.distance - branch.distance[0] - middle) / width) ** 2))
        diameter *= 1.0 - rng.uniform(0.3, 0.85) * close
    return replace(branch, diameter=diameter)


def _occluded(rng: np.random.Generator, vessel: Sequence[Branch]) -> list[Branch]:
    """Now and then a vessel (its main branch first) is closed: what lies beyond is gone, or fills late through collaterals."""
    main, *sides = vessel
    closed, at, filled = rng.random() < _OCCLUDED, rng.uniform(0.2, 0.8), rng.random() < 0.5
    way, thin = rng.uniform(*_ROUNDABOUT_MM), rng.uniform(0.45, 0.8)
    if not closed:
        return [main, *sides]
    cut = max(int(at * len(main.points)), 4)
    reached = float(main.distance[cut - 1])
    kept = [main.part(0, cut), *(side for side in sides if side.distance[0] < reached)]
    if not filled or len(main.points) - cut < 5:
        return kept
    beyond = [main.part(cut, len(main.points)), *(side for side in sides if side.distance[0] >= reached)]
    return kept + [replace(one, diameter=one.diameter * thin, distance=one.distance + way, collateral=True) for one in beyond]


def left(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """Left main, LAD with diagonals and septals, LCx with marginals; the first branch begins at the ostium."""
    size, exponent = rng.uniform(0.8, 1.2), rng.uniform(2.5, 3.0)
    wiggle = rng.uniform(0.8, 3.0)
    fork = (rng.uniform(0.03, 0.09), 0.3 + rng.normal(0, 0.06), 1.0)
    trunk = [(-0.06, 0.5, 0.55), (0.0, 0.42, 0.8), fork]
    main = course(rng, heart, trunk, (4.5 * size, 4.2 * size), start=0.0, wiggle=0.3, family=1)
    end, share = float(main.distance[-1]), rng.uniform(0.78, 0.9)
    other = (1.0 - share**exponent) ** (1.0 / exponent)
    reach = rng.uniform(0.85, 1.12)
    wrap = [(min(reach, 1.0), -0.05, 1.0)] + ([(2.0 - reach, np.pi - 0.2, 1.0)] if reach > 1.0 else [])
    front = [fork, (0.3, 0.14, 1.05), (0.6, 0.0, 1.05), *wrap]
    lad = course(rng, heart, front, (4.2 * size * share, 1.5), start=end, wiggle=wiggle, family=1)
    dominance = rng.random()
    last = rng.uniform(2.7, 3.1) if dominance > 1.0 - _LEFT_DOMINANT else rng.uniform(1.7, 2.6)
    round_ = [fork, (0.02, 0.9, 1.03), (0.06, 1.5, 1.05), (0.10, last, 1.0)]
    lcx = course(rng, heart, round_, (max(4.2 * size * other, 2.2), 1.2), start=end, wiggle=wiggle, family=2)
    lcx = replace(lcx, root_of_family=True)
    # A positive turn leads away from the direction of growth towards greater phi.
    tree = [main]
    tree += _occluded(rng, _spread(rng, heart, _diseased(rng, lad), [(_DIAGONALS, 1.0), (_SEPTALS, 1.0)], exponent))
    tree += _occluded(rng, _spread(rng, heart, _diseased(rng, lcx), [(_MARGINALS, 1.0), (_ATRIALS, 1.0)], exponent))
    if rng.random() < 0.3:
        size_between = float(main.diameter[-1]) * rng.uniform(0.45, 0.65)
        tree.append(
            offshoot(
                rng, heart, main, len(main.points) - 1, turn=0.2, length_mm=rng.uniform(45, 75), size=size_between, aim=0.2
            )
        )
    return tree + twigs(rng, heart, tree[1:], exponent)


def right(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """RCA around the right groove with conus, acute marginals, PDA and posterolateral branches."""
    size, exponent = rng.uniform(0.8, 1.2), rng.uniform(2.5, 3.0)
    wiggle = rng.uniform(0.8, 3.5)
    dominant = rng.random() < 1.0 - _LEFT_DOMINANT
    last = -2.9 if dominant else -2.2
    knots = [(-0.10, -0.7, 0.4), (-0.03, -0.9, 0.9), (0.05, -1.5, 1.15), (0.09, -2.15, 1.15), (0.07, last, 1.05)]
    rca = course(rng, heart, knots, (4.0 * size, 2.9 * size if dominant else 1.3), start=0.0, wiggle=wiggle, family=1)
    tree = _spread(rng, heart, _diseased(rng, rca), [(_ACUTE, 1.0), (_CONUS, -1.0), (_ATRIALS, -1.0)], exponent)
    if dominant:
        crux, stop = len(rca.points) - 1, float(tree[0].diameter[-1])
        down = offshoot(rng, heart, tree[0], crux, turn=1.45, length_mm=rng.uniform(55, 85), size=stop * 0.78, aim=0.0)
        over_ = offshoot(rng, heart, tree[0], crux, turn=0.1, length_mm=rng.uniform(25, 60), size=stop * 0.8, aim=-1.35)
        tree += _spread(rng, heart, down, [(_SEPTALS, -1.0)], exponent)
        tree += _spread(rng, heart, over_, [(_ACUTE, 1.0)], exponent)
    tree = _occluded(rng, tree)
    return tree + twigs(rng, heart, tree, exponent)


def graft(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """A bypass graft to a piece of native vessel: a vein from the aorta, or the mammary artery from above."""
    mammary = rng.random() < 0.45
    phi = float(rng.normal(0.05, 0.1) if mammary else rng.choice([0.0, 0.9, 1.6, -1.2, -2.9]))
    landing = rng.uniform(0.4, 0.65)
    touch = heart.place([(landing, phi, 1.05)])[0]
    if mammary:
        way = [touch + mm(5, 30, 165), touch + mm(-12, -18, 120), touch + mm(-20, -26, 70), touch + mm(-14, -12, 25), touch]
        size = rng.uniform(1.9, 2.7)
    else:
        bulge = heart.place([(0.05, phi, 1.45)])[0]
        way = [heart.place([(-0.42, phi * 0.4, 0.45)])[0], heart.place([(-0.25, phi * 0.8, 1.15)])[0], bulge, touch]
        size = rng.uniform(3.0, 5.0)
    points: Points = smooth(np.array(way), 110)
    for axis in range(3):
        points[:, axis] += rng.normal(0, 0.8) * np.sin(np.linspace(0, rng.uniform(6, 20), 110))
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wall = np.repeat([[landing, phi, 1.05]], 110, axis=0)
    body = Branch(points=points, wall=wall, diameter=np.full(110, size), distance=run, family=1)
    down = [(landing, phi, 1.05), (landing + 0.15, phi + rng.normal(0, 0.06), 1.05), (0.97, phi, 1.0)]
    native = course(rng, heart, down, (min(2.2, size), 0.8), start=float(run[-1]), wiggle=1.0, family=1)
    return [body, native, *twigs(rng, heart, [native], 2.7)]
