"""Coronary trees as curves in millimetres on an ellipsoid heart, grown with Murray's law down to 0.4 mm, uneven down to 0.3.

A place on the heart is (s, phi, r): s from base 0 to apex 1, phi about the long axis (0: anterior groove, positive:
lateral wall), r the share of the wall's radius. `growth` makes the branches, this module says which vessel runs where.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from dicomqc.phantom.growth import THINNEST_MM, Branch, calibres, course, lengths, offshoot, roughened, twigs
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import Points, mm, smooth
from dicomqc.phantom.tortuosity import Habit, habit


class Dominance(StrEnum):
    """Which artery supplies the heart's under side: PDA and posterolateral branches; balanced: RCA and LCx one each."""

    RIGHT = "right"
    BALANCED = "balanced"
    LEFT = "left"


_DOMINANCE: Final = {Dominance.RIGHT: 0.82, Dominance.BALANCED: 0.1, Dominance.LEFT: 0.08}
# Where about the long axis the LCx ends, and its calibre there in mm at the usual size.
_LCX_END: Final = {
    Dominance.RIGHT: ((1.7, 2.45), 1.0),
    Dominance.BALANCED: ((2.55, 2.8), 1.4),
    Dominance.LEFT: ((2.95, 3.15), 2.3),
}
_RCA_END: Final = {Dominance.RIGHT: (-2.9, 2.8), Dominance.BALANCED: (-2.95, 2.2), Dominance.LEFT: (-2.2, 1.1)}
_STRAIGHT: Final = Habit(slope=0.0, screw_mm=0.0, rough=1.0)  # the left main, so that it ends where its daughters begin
_SEQUENTIAL: Final = 0.4  # of veins
_UPWARDS: Final = 0.6  # of the vessels that a graft lands on are open above it, too
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
    count=(2, 4), along=(0.12, 0.55), turn_deg=(25, 60), length_mm=(50, 95), share=(0.5, 0.75), aim_deg=22.0
)
_SEPTALS: Final = _Side(
    count=(4, 8), along=(0.08, 0.7), turn_deg=(-80, -50), length_mm=(18, 40), share=(0.25, 0.42), depth=0.5, aim_deg=None
)
_MARGINALS: Final = _Side(count=(2, 4), along=(0.2, 0.95), turn_deg=(-75, -40), length_mm=(55, 95), share=(0.55, 0.8))
_FED: Final = _Side(count=(0, 2), along=(0.1, 0.7), turn_deg=(30, 65), length_mm=(20, 70), share=(0.45, 0.7))
_POSTEROLATERAL: Final = _Side(count=(1, 3), along=(0.75, 0.96), turn_deg=(-85, -50), length_mm=(35, 70), share=(0.5, 0.7))
_ATRIALS: Final = _Side(
    count=(0, 2), along=(0.1, 0.5), turn_deg=(60, 110), length_mm=(15, 35), share=(0.25, 0.4), aim_deg=None, depth=1.1
)
_ACUTE: Final = _Side(count=(2, 4), along=(0.2, 0.7), turn_deg=(40, 75), length_mm=(30, 65), share=(0.35, 0.55))
_CONUS: Final = _Side(
    count=(1, 2), along=(0.05, 0.15), turn_deg=(70, 120), length_mm=(15, 40), share=(0.3, 0.42), aim_deg=None, depth=1.15
)


def dominance(rng: np.random.Generator) -> Dominance:
    """Right in 82 %, balanced in 10 %, left in 8 %."""
    return Dominance(str(rng.choice([str(one) for one in _DOMINANCE], p=list(_DOMINANCE.values()))))


def _spread(
    rng: np.random.Generator,
    heart: Heart,
    parent: Branch,
    sides: Sequence[tuple[_Side, float]],
    exponent: float,
    own: Habit,
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
        length = rng.uniform(*side.length_mm)
        branch = offshoot(rng, heart, parent, index, turn=turn, length_mm=length, size=size, habit=own, aim=aim, r=side.depth)
        # Drawn before it is dropped, so that the branches after it are the same.
        if size >= THINNEST_MM:
            made.append(branch)
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


def _underside(
    rng: np.random.Generator, heart: Heart, vessel: Branch, exponent: float, own: Habit, *, turn: float, size: float
) -> list[Branch]:
    """The PDA with its septals, from the end of `vessel` down the posterior groove; `size` is its calibre in mm."""
    length = rng.uniform(60, 95)
    crux = len(vessel.points) - 1
    down = offshoot(rng, heart, vessel, crux, turn=turn, length_mm=length, size=size, habit=own, aim=0.0)
    return _spread(rng, heart, down, [(_SEPTALS, -1.0)], exponent, own)


def left(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """Left main, LAD with diagonals and septals, LCx with marginals; the first branch begins at the ostium.

    Where the left side is dominant the LCx runs on along the crux and gives PDA and posterolateral branches, where both
    are the latter alone.
    """
    size, exponent, own = rng.uniform(0.8, 1.15), rng.uniform(2.5, 3.0), habit(rng)
    wiggle = rng.uniform(0.8, 2.5)
    fork = (rng.uniform(0.03, 0.09), 0.3 + rng.normal(0, 0.06), 1.0)
    trunk = [(-0.06, 0.5, 0.55), (0.0, 0.42, 0.8), fork]
    main = course(rng, heart, trunk, (4.5 * size, 4.2 * size), start=0.0, wiggle=0.3, family=1, habit=_STRAIGHT)
    which = dominance(rng)
    share = rng.uniform(0.7, 0.8) if which is Dominance.LEFT else rng.uniform(0.78, 0.9)
    lad = _lad(rng, heart, main, fork, (4.2 * size * share, 1.1), wiggle, own)
    other = (1.0 - share**exponent) ** (1.0 / exponent)
    (near, far), end = _LCX_END[which]
    round_ = [fork, (0.02, 0.9, 1.03), (0.06, 1.5, 1.05), (0.10, rng.uniform(near, far), 1.0)]
    wide = (max(4.2 * size * other, 2.2), end * size)
    lcx = course(rng, heart, round_, wide, start=float(main.distance[-1]), wiggle=wiggle, family=2, habit=own)
    lcx = _diseased(rng, replace(lcx, root_of_family=True))
    # A positive turn leads away from the direction of growth towards greater phi.
    tree = [main]
    tree += _occluded(rng, _spread(rng, heart, _diseased(rng, lad), [(_DIAGONALS, 1.0), (_SEPTALS, 1.0)], exponent, own))
    sides = [(_MARGINALS, 1.0), (_ATRIALS, 1.0), *([] if which is Dominance.RIGHT else [(_POSTEROLATERAL, 1.0)])]
    around = _spread(rng, heart, lcx, sides, exponent, own)
    if which is Dominance.LEFT:
        around += _underside(rng, heart, around[0], exponent, own, turn=-1.45, size=float(around[0].diameter[-1]) * 0.9)
    tree += _occluded(rng, around)
    if rng.random() < 0.3:
        tree.append(_intermediate(rng, heart, main, own))
    return roughened(rng, tree + twigs(rng, heart, tree[1:], exponent, own), own)


def _lad(
    rng: np.random.Generator,
    heart: Heart,
    main: Branch,
    fork: tuple[float, float, float],
    diameter: tuple[float, float],
    wiggle: float,
    own: Habit,
) -> Branch:
    """The LAD from the fork along the anterior groove to the apex or around it, without its branches."""
    reach = rng.uniform(0.85, 1.12)
    wrap = [(min(reach, 1.0), -0.05, 1.0)] + ([(2.0 - reach, np.pi - 0.2, 1.0)] if reach > 1.0 else [])
    front = [fork, (0.3, 0.14, 1.05), (0.6, 0.0, 1.05), *wrap]
    return course(rng, heart, front, diameter, start=float(main.distance[-1]), wiggle=wiggle, family=1, habit=own)


def _intermediate(rng: np.random.Generator, heart: Heart, main: Branch, own: Habit) -> Branch:
    """The branch between LAD and LCx that some have."""
    size, length = float(main.diameter[-1]) * rng.uniform(0.4, 0.6), rng.uniform(50, 85)
    return offshoot(rng, heart, main, len(main.points) - 1, turn=0.2, length_mm=length, size=size, habit=own, aim=0.2)


def right(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """RCA around the right groove with conus, acute marginals, PDA and posterolateral branches as dominance has it."""
    size, exponent, own = rng.uniform(0.8, 1.15), rng.uniform(2.5, 3.0), habit(rng)
    wiggle = rng.uniform(0.8, 3.0)
    which = dominance(rng)
    last, end = _RCA_END[which]
    knots = [(-0.10, -0.7, 0.4), (-0.03, -0.9, 0.9), (0.05, -1.5, 1.15), (0.09, -2.15, 1.15), (0.07, last, 1.05)]
    rca = course(rng, heart, knots, (4.0 * size, end * size), start=0.0, wiggle=wiggle, family=1, habit=own)
    tree = _spread(rng, heart, _diseased(rng, rca), [(_ACUTE, 1.0), (_CONUS, -1.0), (_ATRIALS, -1.0)], exponent, own)
    crux, stop = len(rca.points) - 1, float(tree[0].diameter[-1])
    if which is not Dominance.LEFT:
        part = 0.78 if which is Dominance.RIGHT else 0.9
        tree += _underside(rng, heart, tree[0], exponent, own, turn=1.45, size=stop * part)
    if which is Dominance.RIGHT:
        length = rng.uniform(30, 70)
        over = offshoot(rng, heart, tree[0], crux, turn=0.1, length_mm=length, size=stop * 0.8, habit=own, aim=-1.35)
        tree += _spread(rng, heart, over, [(_ACUTE, 1.0)], exponent, own)
    tree = _occluded(rng, tree)
    return roughened(rng, tree + twigs(rng, heart, tree, exponent, own), own)


def graft(rng: np.random.Generator, heart: Heart) -> list[Branch]:
    """A bypass graft to a piece of native vessel: a vein from the aorta, or the mammary artery from above."""
    mammary, own = rng.random() < 0.45, habit(rng)
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
    run = lengths(points, 0.0)
    wall = np.repeat([[landing, phi, 1.05]], 110, axis=0)
    body = Branch(points=points, wall=wall, diameter=np.full(110, size), distance=run, family=1)
    made = [body, *_fed(rng, heart, (landing, phi), min(2.2, size), float(run[-1]), own)]
    if not mammary and rng.random() < _SEQUENTIAL:
        # Beyond the first landing the vein goes on to a second vessel.
        aside = (landing + rng.uniform(-0.1, 0.2), phi + rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.1))
        over = [(landing, phi, 1.05), ((landing + aside[0]) / 2, (phi + aside[1]) / 2, 1.25), (*aside, 1.05)]
        on = course(rng, heart, over, (size, 0.85 * size), start=float(run[-1]), wiggle=0.5, family=1, habit=_STRAIGHT)
        made += [on, *_fed(rng, heart, aside, min(2.0, size), float(on.distance[-1]), own)]
    return made


def _fed(
    rng: np.random.Generator, heart: Heart, at: tuple[float, float], size: float, start: float, own: Habit
) -> list[Branch]:
    """What a graft fills from where it lands `at` (s, phi): the vessel down to its end, often upwards too, with branches."""
    landing, phi = at
    end = (0.97, phi, 1.0)
    down = [(landing, phi, 1.05), (landing + 0.15, phi + rng.normal(0, 0.06), 1.05), end]
    knots, far = [down], landing - rng.uniform(0.08, 0.3)
    if rng.random() < _UPWARDS:
        knots.append([(landing, phi, 1.05), ((landing + far) / 2, phi + rng.normal(0, 0.05), 1.05), (far, phi, 1.05)])
    made: list[Branch] = []
    for way in knots:
        vessel = course(rng, heart, way, (size, 0.8), start=start, wiggle=1.0, family=1, habit=own)
        made += _spread(rng, heart, vessel, [(_FED, 1.0), (_FED, -1.0)], 2.7, own)
    return roughened(rng, [*made, *twigs(rng, heart, made, 2.7, own)], own)
