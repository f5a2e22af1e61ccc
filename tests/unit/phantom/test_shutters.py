"""What bounds the field, and the ranges of what a cine's coding and geometry are drawn from."""

from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import cine, cohort, shutters
from dicomqc.phantom.plan import JPEG_BASELINE, Kind
from dicomqc.phantom.projection import FRAME, Float
from dicomqc.phantom.shutters import Collimation
from tests.support.phantom_parts import share

_DRAWS: Final = 120
_INNER: Final = slice(100, FRAME - 100)


def _untouched(layer: Float) -> Float:
    return layer


@pytest.fixture(scope="module")
def drawn() -> list[Collimation]:
    return [shutters.draw(np.random.default_rng(seed), _untouched) for seed in range(_DRAWS)]


def test_blades_shutters_and_marks_are_drawn_for_some_cines(drawn: list[Collimation]) -> None:
    assert 0.5 < share([one.nepers is not None for one in drawn]) < 0.75  # blades in half, a wedge in a quarter
    assert 0.53 < share([one.open is not None for one in drawn]) < 0.77
    assert 0.2 < share([one.marks is not None for one in drawn]) < 0.4
    assert all((one.shade is None) is (one.open is None) for one in drawn)


def test_nothing_bounds_the_middle_of_the_field_and_every_bound_leaves_most_of_it(drawn: list[Collimation]) -> None:
    for one in drawn:
        assert one.sees[_INNER, _INNER].all()
        assert 0.55 < one.sees.mean() <= 1.0
        assert one.marks is None or not one.marks[0][_INNER, 120:320].any()
    assert share([bool(one.sees.all()) for one in drawn]) < 0.4
    assert min(one.sees.mean() for one in drawn) < 0.8


def test_a_field_is_seen_where_neither_the_shutter_nor_a_blade_hides_it(drawn: list[Collimation]) -> None:
    for one in drawn:
        if one.open is not None:
            assert not one.sees[one.open <= 127].any()
        if one.nepers is None:
            shows = one.open > 127 if one.open is not None else np.ones_like(one.sees)
            assert np.array_equal(one.sees, shows)
        elif float(one.nepers.max()) > 2.2:
            assert not one.sees[one.nepers > 1.6].any()


def test_blades_are_of_lead_and_lie_at_the_borders_and_a_wedge_is_thin_and_gradual() -> None:
    blades = [shutters._blades(np.random.default_rng(seed)) for seed in range(40)]
    depths = [float(blade.max()) for blade in blades]
    assert 1.1 < min(depths) < 1.5
    assert 3.2 < max(depths) <= 3.51
    assert all(float(blade[_INNER, _INNER].max()) < 0.05 for blade in blades)
    sides = [[blade[256, 1], blade[1, 256], blade[256, -2], blade[-2, 256]] for blade in blades]
    covered = [sum(float(v) > 0.6 for v in edge) for edge in sides]
    assert set(covered) == {1, 2, 3, 4}
    wedges = [shutters._wedge(np.random.default_rng(seed)) for seed in range(40)]
    assert all(0.2 <= float(wedge.max()) <= 0.9 and float(wedge[256, 256]) == 0.0 for wedge in wedges)
    assert max(float(np.abs(np.diff(wedge, axis=1)).max()) for wedge in wedges) < 0.9 / 12 + 1e-3


def test_the_digital_shutter_covers_everything_with_its_shade_and_marks_lie_on_top() -> None:
    page = np.full((FRAME, FRAME), 255, np.uint8)
    page[:, :50] = 0
    mask = np.zeros((FRAME, FRAME), np.bool_)
    mask[10:20, 10:90] = True
    shade = np.where(page == 0, 30, 0).astype(np.uint8)
    marks = (mask, np.full((FRAME, FRAME), 230, np.uint8))
    bounds = Collimation(nepers=None, open=page, shade=shade, marks=marks, sees=page > 127)
    shown = shutters.close(bounds, np.full((FRAME, FRAME), 140, np.uint8))
    assert (shown[mask] == 230).all()
    assert (shown[:, :50][~mask[:, :50]] == 30).all()
    assert (shown[:, 50:][~mask[:, 50:]] == 140).all()


def test_most_shutters_are_black_and_none_is_bright(drawn: list[Collimation]) -> None:
    shades = [float(one.shade.max()) for one in drawn if one.shade is not None]
    assert 0.45 < share([shade == 0.0 for shade in shades]) < 0.75
    assert 40.0 < max(shades) <= 120.0


def test_half_of_the_cines_went_through_jpeg_of_quality_40_to_100() -> None:
    plans = [cohort.draw(31, patient, 0, Kind.CORONARY) for patient in range(600)]
    qualities = [plan.jpeg_quality for plan in plans if plan.jpeg_quality]
    assert 0.42 < len(qualities) / len(plans) < 0.54
    assert min(qualities) in range(40, 43)
    assert max(qualities) in range(98, 101)
    assert all(plan.jpeg_quality for plan in plans if plan.transfer_syntax_uid == JPEG_BASELINE)


def test_lower_quality_spoils_a_frame_more() -> None:
    frame = np.random.default_rng(2).normal(128.0, 12.0, (128, 128)).clip(0, 255).astype(np.uint8)
    errors = [float(np.abs(cine.codec(frame, quality).astype(int) - frame).mean()) for quality in (40, 70, 100)]
    assert errors[0] > 1.1 * errors[1] > 3.0 * errors[2]
    assert errors[2] < 1.0


def test_the_field_is_15_to_25_cm_wide_and_the_heart_beats_45_to_130_times_a_minute() -> None:
    plans = [cohort.draw(32, patient, 0, Kind.CORONARY) for patient in range(400)]
    fields = [plan.mm_per_pixel * FRAME * 1.4 for plan in plans]  # the beam enlarges the heart 1.4 times
    assert 150.0 <= min(fields) < 152.0
    assert 248.0 < max(fields) <= 250.0
    rates = [plan.heart_rate_bpm for plan in plans]
    assert 45.0 <= min(rates) < 50.0
    assert 125.0 < max(rates) <= 130.0
