"""How vessels wind: bends of 5 to 15 mm with calm stretches, corkscrews in some, uneven calibres."""

from itertools import pairwise
from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import growth, tortuosity
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.projection import Points
from dicomqc.phantom.tortuosity import Habit

_WAY: Final = np.arange(0.0, 150.0, 0.5)
_THIN: Final = np.full(len(_WAY), 1.0)
_WINDING: Final = Habit(slope=0.8, screw_mm=0.0, rough=1.0)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _turning(line: Points) -> Points:
    """The ways between the turning points of `line` in mm, slight ones left out."""
    slope = np.gradient(line, _WAY)
    at = np.flatnonzero(np.diff(np.sign(slope)) != 0)
    steep = [np.abs(slope[a:b]).max(initial=0.0) > 0.1 for a, b in pairwise(at)]
    return np.diff(_WAY[at])[steep]


def test_bends_are_5_to_15_mm_long() -> None:
    halves = np.concatenate([_turning(tortuosity.sway(_rng(seed), _WAY, _THIN, _WINDING)[:, 0]) for seed in range(20)])
    assert len(halves) > 150
    low, high = np.percentile(halves, [5.0, 95.0])
    assert 2.0 < low < 4.0
    assert 6.0 < high < 9.0


def test_straight_stretches_lie_between_the_bends() -> None:
    quiet = busy = 0
    for seed in range(20):
        line = np.gradient(tortuosity.sway(_rng(seed), _WAY, _THIN, _WINDING)[:, 0], _WAY)
        steep = np.array([np.abs(line[at : at + 20]).max() for at in range(20, len(line) - 20, 20)])
        quiet, busy = quiet + int((steep < 0.2).sum()), busy + int((steep > 0.4).sum())
    assert quiet > 40
    assert busy > 80


def test_a_vessel_begins_on_its_course_and_thin_ones_wind_more() -> None:
    thick = np.full(len(_WAY), 3.5)
    for seed in range(10):
        thin = tortuosity.sway(_rng(seed), _WAY, _THIN, _WINDING)
        assert np.abs(thin[0]).max() < 1e-9
        assert np.abs(thin).max() > 3.0 * np.abs(tortuosity.sway(_rng(seed), _WAY, thick, _WINDING)).max()


def test_one_patient_in_seven_has_corkscrews_and_patients_wind_more_and_less() -> None:
    habits = [tortuosity.habit(_rng(seed)) for seed in range(1000)]
    assert np.mean([own.screw_mm > 0.0 for own in habits]) == pytest.approx(0.14, abs=0.03)
    slight, much = np.percentile([own.slope for own in habits], [5.0, 95.0])
    assert slight < 0.3
    assert much > 0.85


def test_a_corkscrew_turns_in_both_directions_aside() -> None:
    screwed = Habit(slope=0.0, screw_mm=1.0, rough=1.0)
    aside = tortuosity.sway(_rng(4), _WAY, _THIN, screwed)
    assert (np.abs(aside).max(axis=0) > 0.4).all()
    assert np.abs(tortuosity.sway(_rng(4), _WAY, np.full(len(_WAY), 3.0), screwed)).max() == 0.0


def test_winding_makes_a_course_longer_and_keeps_its_beginning() -> None:
    heart = Heart(length_mm=105.0, radius_mm=44.0)
    points = heart.place([(s, 0.1, 1.03) for s in np.linspace(0.1, 0.9, 70)])
    longer = []
    for seed in range(12):
        wound = growth.winding(_rng(seed), heart, points, np.full(70, 1.0), _WINDING)
        assert wound[0] == pytest.approx(points[0])
        longer.append(growth.lengths(wound, 0.0)[-1] / growth.lengths(points, 0.0)[-1])
        assert np.linalg.norm(wound - points, axis=1).max() < 8.0
    assert 1.03 < np.mean(longer) < 1.3
    assert max(longer) < 1.6


def test_calibres_are_uneven_by_short_plaques_and_slight_dilatations() -> None:
    plain = np.full(len(_WAY), 2.0)
    drawn = np.array([tortuosity.uneven(_rng(seed), _WAY, plain, _WINDING) / plain for seed in range(60)])
    assert 0.4 < drawn.min() < 0.75
    assert 1.08 < drawn.max() < 1.4
    assert np.median(drawn) == pytest.approx(1.0, abs=0.02)
    assert tortuosity.uneven(_rng(1), _WAY, np.full(len(_WAY), 0.31), _WINDING).min() >= 0.3
    smooth = Habit(slope=0.5, screw_mm=0.0, rough=0.0)
    assert np.array_equal(tortuosity.uneven(_rng(1), _WAY, plain, smooth), plain)
