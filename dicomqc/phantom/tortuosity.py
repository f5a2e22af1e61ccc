"""How vessels wind and how uneven they are: kinks, S-bends and corkscrews with calm stretches between, small plaques."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomqc.phantom.projection import Points

_HALF_BEND_MM: Final = (2.5, 7.5)  # from one turning point to the next: bends of 5 to 15 mm
_CALM_MM: Final = (12.0, 35.0)
_PITCH_MM: Final = (6.0, 12.0)
_ROOT_MM: Final = 7.0  # within which a branch leaves its parent straight
_SCREWED: Final = 0.14
_SCREWED_BELOW_MM: Final = 2.2
_PLAQUES_PER_MM: Final = 1.0 / 45.0
_LEAST_MM: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One run's vessels: slope of the bends, radius of corkscrews in mm (0: none), unevenness of the calibre (1: usual)."""

    slope: float
    screw_mm: float
    rough: float


def habit(rng: np.random.Generator) -> Habit:
    """From nearly straight to very tortuous; one tree in seven has corkscrews."""
    slope, screw = float(np.exp(rng.normal(np.log(0.46), 0.5))), rng.uniform(0.6, 1.5)
    return Habit(slope=min(slope, 1.3), screw_mm=screw if rng.random() < _SCREWED else 0.0, rough=rng.uniform(0.4, 1.6))


def sway(rng: np.random.Generator, way: Points, diameter: Points, own: Habit) -> Points:
    """How far [N,2] in mm (beside, outward) a vessel leaves its course at `way` [N] mm; thin vessels wind more.

    `diameter` [N] in mm. The vessel begins on its course.
    """
    since = way - way[0]
    eager = np.clip((1.4 / np.maximum(diameter, 0.1)) ** 1.5, 0.12, 1.0) * (1.0 - np.exp(-((since / _ROOT_MM) ** 2)))
    winds = own.slope * eager * _calm(rng, since, 0.6)
    aside = np.stack([winds * _zigzag(rng, since), 0.5 * winds * _zigzag(rng, since)], axis=1)
    if own.screw_mm > 0.0:
        turn = 2.0 * np.pi * (since / rng.uniform(*_PITCH_MM) + rng.random())
        radius = own.screw_mm * eager * _calm(rng, since, 0.6) * (diameter < _SCREWED_BELOW_MM)
        aside += radius[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    return np.asarray(aside, dtype=np.float64)


def _zigzag(rng: np.random.Generator, since: Points) -> Points:
    """To and fro with slopes of about 1, from angular kinks to round bends."""
    count = int(since[-1] / _HALF_BEND_MM[0]) + 3
    gaps = rng.uniform(*_HALF_BEND_MM, count)
    knots = np.concatenate([[0.0], np.cumsum(gaps)])
    sides = rng.choice([-1.0, 1.0]) * (-1.0) ** np.arange(count) * rng.gamma(3.0, 1.0 / 3.0, count)
    line = np.interp(since, knots, np.concatenate([[0.0], 0.5 * sides * gaps]))
    return rounded(line, int(rng.integers(1, 4)))


def _calm(rng: np.random.Generator, since: Points, busy: float) -> Points:
    """Between 0 where the vessel runs straight and 1 where it winds, a share `busy` of its stretches."""
    count = int(since[-1] / _CALM_MM[0]) + 3
    knots = np.cumsum(rng.uniform(*_CALM_MM, count)) - rng.uniform(*_CALM_MM)
    winds = np.where(rng.random(count) < busy, rng.uniform(0.6, 1.0, count), rng.uniform(0.0, 0.15, count))
    return np.asarray(np.interp(since, knots, winds), dtype=np.float64)


def rounded(line: Points, times: int) -> Points:
    """The curve [N] with its corners taken off, `times` over; its ends stay."""
    for _ in range(times):
        line = np.concatenate([line[:1], 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:], line[-1:]])
    return line


def uneven(rng: np.random.Generator, way: Points, diameter: Points, own: Habit) -> Points:
    """The calibre [N] in mm with small irregularities, short narrowings of 10 to 35 % and slight dilatations."""
    since = way - way[0]
    knots = np.arange(0.0, since[-1] + 6.0, 2.5)
    share = np.interp(since, knots, rng.normal(0.0, 0.03 * own.rough, len(knots)))
    for _ in range(int(rng.poisson(since[-1] * _PLAQUES_PER_MM * own.rough))):
        middle, width = rng.uniform(0.05, 1.0) * since[-1], rng.uniform(1.2, 3.5)
        much = -rng.uniform(0.1, 0.35) if rng.random() < 0.75 else rng.uniform(0.05, 0.14)
        share = share + much * np.exp(-(((since - middle) / width) ** 2))
    return np.asarray(np.maximum(diameter * (1.0 + share), np.minimum(diameter, _LEAST_MM)), dtype=np.float64)
