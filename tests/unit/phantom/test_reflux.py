"""Reflux into the root: a cup with a sharp lower edge that comes and goes with the beat, and streaks out of the ostium."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import contrast, reflux
from dicomqc.phantom.contrast import CELL, Cloud
from dicomqc.phantom.projection import CANVAS
from tests.support.phantom_parts import ALWAYS, VIEW

_COURSE: Final = np.stack([np.linspace(0.0, 20.0, 12), np.zeros(12), np.linspace(0.0, 3.0, 12)], axis=1)
_SIZE: Final = CANVAS // CELL


def _root(seed: int) -> reflux.Root:
    return reflux.root(np.random.default_rng(seed), _COURSE)


def test_the_root_lies_opposite_to_the_vessel() -> None:
    at = _root(1)
    assert np.linalg.norm(at.inward) == pytest.approx(1.0)
    assert at.inward[0] < -0.9
    assert np.array_equal(at.ostium, _COURSE[0])


def test_a_cup_hangs_below_the_ostium_and_its_lower_edge_is_the_sharper_one() -> None:
    sharper, lower = [], []
    for seed in range(40):
        depth = reflux.cups(np.random.default_rng(seed), VIEW, _root(seed))
        assert depth.shape == (_SIZE, _SIZE)
        assert 0.0 <= float(depth.min()) < 1.0 < float(depth.max()) < 45.0
        rows = depth[:, depth.sum(axis=0).argmax()].astype(float)
        slope = np.diff(rows)
        sharper.append(float(-slope.min()) > float(slope.max()))
        lower.append(float(np.average(np.arange(_SIZE), weights=depth.sum(axis=1))) > _SIZE / 2)
    assert np.mean(sharper) > 0.75
    assert np.mean(lower) > 0.9


def test_cups_differ_in_size() -> None:
    areas = [int((reflux.cups(np.random.default_rng(s), VIEW, _root(s)) > 1.0).sum()) for s in range(20)]
    assert len(set(areas)) > 14
    assert max(areas) > 1.5 * min(areas)


def test_streaks_begin_at_the_ostium_and_go_into_the_root() -> None:
    ostium = VIEW.project(_COURSE[:1])[0] / CELL
    for seed in range(10):
        depth = reflux.streams(np.random.default_rng(seed), VIEW, _root(seed))
        # No deeper than a streak is thick.
        assert float(depth.max()) <= 2.4
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        assert np.hypot(column - ostium[0], row - ostium[1]) < 6.0
        assert float(np.average(np.arange(_SIZE), weights=depth.sum(axis=0))) < ostium[0]


def test_a_cloud_rides_with_the_beat_which_drives_it_out_or_brings_it() -> None:
    depth = np.zeros((_SIZE, _SIZE), np.float32)
    depth[80, 80] = 10.0
    cloud = Cloud(depth=depth, bolus=ALWAYS, ejects=0.75, ride=(3.0, -2.0))
    rest, full = cloud.at(1.0, 0.0), cloud.at(1.0, 1.0)
    assert rest is not None
    assert full is not None
    assert rest[80, 80] == pytest.approx(10.0)
    assert full[78, 83] == pytest.approx(2.5)
    coming = replace(cloud, ejects=-0.5).at(1.0, 1.0)
    assert coming is not None
    assert coming[78, 83] == pytest.approx(15.0)


def test_a_cloud_is_nowhere_less_diluted_than_what_is_injected_however_it_is_mixed() -> None:
    depth = np.full((_SIZE, _SIZE), 10.0, np.float32)
    cloud = Cloud(depth=depth, bolus=ALWAYS, ejects=-0.6, texture=contrast.mixing(np.random.default_rng(1), 0.6))
    mixed = cloud.at(1.0, 1.0)
    assert mixed is not None
    assert float(mixed.max()) == pytest.approx(10.0)
    assert float(mixed.min()) < 9.0


def test_the_texture_of_mixing_is_about_one_and_swirled() -> None:
    texture = contrast.mixing(np.random.default_rng(2), 0.3)
    assert texture.shape == (2 * _SIZE, 2 * _SIZE)
    assert float(texture.mean()) == pytest.approx(1.0, abs=0.1)
    assert 0.25 <= float(texture.min()) < float(texture.max()) <= 2.0
