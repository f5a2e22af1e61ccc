"""Bones and lungs: they follow the view, edges are crisp, trees taper outward."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import anatomy, bones, instruments, lungs
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm
from tests.support.phantom_parts import VIEW

_VIEWS: Final = (
    VIEW,
    replace(VIEW, primary_deg=40.0, secondary_deg=27.0),
    replace(VIEW, primary_deg=-30.0, secondary_deg=-25.0),
)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _spine(rng: np.random.Generator, view: View) -> Float:
    return bones.spine(rng, view, bones.column(rng))


def _ribs(rng: np.random.Generator, view: View) -> Float:
    return bones.ribs(rng, view, bones.column(rng))


def _centred(view: View) -> View:
    """The same view with the middle of the spine in the middle of the canvas."""
    spot = view.project((bones.BODY + mm(0.0, bones._SPINE_BACK_MM, 0.0))[None])[0]
    return replace(view, offset=(CANVAS / 2 - float(spot[0]), CANVAS / 2 - float(spot[1])))


@pytest.mark.parametrize("view", _VIEWS)
@pytest.mark.parametrize("part", [_spine, _ribs, lungs.vessels, bones.scapula])
def test_every_part_is_a_shadow_that_its_seed_decides(part, view: View) -> None:  # type: ignore[no-untyped-def]
    view = replace(view, mm_per_pixel=0.8)
    layer = part(_rng(1), view)
    assert layer.shape == (CANVAS, CANVAS)
    assert layer.dtype == np.float32
    assert float(layer.min()) > -0.02
    assert 0.02 < float(layer.max()) < 2.0
    assert np.array_equal(layer, part(_rng(1), view))
    assert not np.array_equal(layer, part(_rng(2), view))


@pytest.mark.parametrize("view", _VIEWS)
def test_the_spine_lies_where_the_view_puts_it(view: View) -> None:
    for seed in range(3):
        shadow = _spine(_rng(seed), _centred(view)).sum(axis=0)
        middle = float((np.arange(CANVAS) * shadow).sum() / shadow.sum())
        # From an oblique view the processes lie to one side of the bodies.
        assert abs(middle - CANVAS / 2) < 25.0 / view.mm_per_pixel
        near = slice(CANVAS // 2 - 40, CANVAS // 2 + 40)
        assert float(shadow[near].mean()) > 3.0 * float(shadow[:60].mean())


def test_processes_stick_out_behind_the_bodies_in_a_view_from_the_side() -> None:
    def lopsided(view: View) -> float:
        shadow = np.sum([_spine(_rng(seed), _centred(view)) for seed in range(4)], axis=(0, 1))
        far = round(26.0 / view.mm_per_pixel)
        return float(shadow[CANVAS // 2 + far :].sum() - shadow[: CANVAS // 2 - far].sum()) / float(shadow.sum())

    assert abs(lopsided(VIEW)) < 0.06
    assert lopsided(replace(VIEW, primary_deg=90.0)) > 0.1
    assert lopsided(replace(VIEW, primary_deg=-90.0)) < -0.1


def _ripple(layer: Float) -> float:
    """How unlike neighbouring rows in the spine's middle are, per neper."""
    strip = layer[CANVAS // 4 : -CANVAS // 4, CANVAS // 2 - 15 : CANVAS // 2 + 15].mean(axis=1)
    return float(np.abs(np.diff(strip)).max() / strip.mean())


def test_end_plates_are_crisp_lines_where_they_are_seen_edge_on_and_fade_with_the_tilt() -> None:
    edge_on = [_ripple(_spine(_rng(seed), _centred(VIEW))) for seed in range(4)]
    tilted = [_ripple(_spine(_rng(seed), _centred(replace(VIEW, secondary_deg=35.0)))) for seed in range(4)]
    assert min(edge_on) > 0.2
    assert np.median(edge_on) > 2.0 * np.median(tilted)


def test_every_vertebra_has_its_lines_where_the_beam_grazes_it() -> None:
    model = bones._vertebra(_rng(1), 15.0, 13.0, 10.0)
    plates = np.flatnonzero(np.abs(model.normals[:, 2]) == 1.0)
    assert len(plates) > 1000

    def sharp(degrees: float) -> float:
        ray = mm(0.0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))
        lines, _ = bones._parted(model, ray)
        kept = {tuple(point) for point in lines[0].tolist()}
        return float(np.mean([tuple(model.points[i].tolist()) in kept for i in plates[::20]]))

    assert sharp(0.0) == 1.0
    assert 0.2 < sharp(24.0) < 0.8
    assert sharp(45.0) == 0.0


def test_a_ray_runs_from_a_point_to_the_source_so_that_all_of_it_falls_on_one_pixel() -> None:
    view = replace(VIEW, primary_deg=40.0, secondary_deg=27.0)
    for point in (mm(0, 0, 0), mm(30, -40, 80), mm(-60, 20, -110)):
        ray = view.ray(point)
        assert np.linalg.norm(ray) == pytest.approx(1.0)
        shadow = view.project(point + np.outer([-40.0, 0.0, 40.0, 100.0], ray))
        assert np.ptp(shadow, axis=0) == pytest.approx(0.0, abs=1e-6)


def test_bones_grow_with_magnification() -> None:
    def width(mm_per_pixel: float) -> int:
        shadow = _spine(_rng(3), _centred(replace(VIEW, mm_per_pixel=mm_per_pixel))).mean(axis=0)
        return int((shadow > 0.5 * shadow.max()).sum())

    assert width(0.25) == pytest.approx(2.0 * width(0.5), rel=0.2)


def test_a_rib_has_a_dense_thin_edge() -> None:
    page = np.zeros((CANVAS, CANVAS), np.uint8)
    middle = np.stack([np.linspace(100.0, 500.0, 28), np.full(28, 300.0)], axis=1)
    bones._fill(page, middle, np.tile([0.0, 16.0], (28, 1)), 1.0)
    across = page[:, 300].astype(int)
    assert across[300 - 15] > 1.4 * across[300]
    assert across[300] > 0
    assert across[300 - 19] == across[300 + 19] == 0
    outside = np.full((28, 2), -50.0)
    blank = np.zeros_like(page)
    bones._fill(blank, outside, np.tile([0.0, 16.0], (28, 1)), 1.0)
    assert blank.max() == 0


def test_a_lung_tree_tapers_outward_from_both_hila() -> None:
    generations = lungs.grow(_rng(1), 12, 9.0, 1.2)
    stems, last = generations[0], generations[-1]
    assert len(generations) > 6
    assert set(stems.stem) == set(range(12))
    widths = [float(g.diameter.max()) for g in generations]
    assert widths == sorted(widths, reverse=True)
    assert float(last.diameter.min()) > 1.2
    away = [
        float(np.linalg.norm(g.courses[:, -1] - [lungs.hilum(1.0 if s % 2 else -1.0) for s in g.stem], axis=1).mean())
        for g in generations
    ]
    assert away[0] < away[2] < away[5]
    every = np.concatenate([g.stem for g in generations])
    assert 0.2 < float((every % 2).mean()) < 0.8


def test_airways_hold_gas_within_thin_walls_and_none_crosses_out_a_wider_one() -> None:
    view = replace(VIEW, offset=(0.0, 150.0))
    walls, gas = lungs.airways(_rng(1), view)
    assert 0.0 <= float(walls.min()) < 0.01 < float(walls.max()) < 0.06
    assert 0.05 < float(gas.max()) <= 0.12
    assert float((gas > 0.01).sum()) > float((walls > 0.01).sum())


def test_thin_airways_are_drawn_before_wide_ones_which_they_would_cross_out(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    monkeypatch.setattr(lungs, "line", lambda _page, _course, _value, width_px: drawn.append(width_px))
    lungs.airways(_rng(1), replace(VIEW, offset=(0.0, 150.0)))
    # Every airway's wall first, then for each its gap in the wall and twice its gas.
    walls = drawn[: len(drawn) // 4]
    assert len(walls) > 10
    assert walls == sorted(walls)
    gaps = drawn[len(walls) :: 3]
    assert gaps == sorted(gaps)


def test_gas_in_the_windpipe_is_seen_between_the_lungs_where_tissue_is_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    none = np.zeros((CANVAS, CANVAS), np.float32)
    shown = 0
    for seed in range(6):
        monkeypatch.setattr(lungs, "airways", lambda *_: (none, none))
        without = anatomy.thorax(_rng(seed), VIEW)
        monkeypatch.setattr(lungs, "airways", lambda *_: (none, none + np.float32(0.1)))
        taken = without - anatomy.thorax(_rng(seed), VIEW)
        if taken.any():  # four of ten chests show no airways
            shown += 1
            assert 0.02 < float(taken.max()) < 0.1
            assert abs(float(taken.min())) < 1e-6
    assert shown > 1


def test_ribs_join_the_column_at_its_vertebrae(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Points] = []
    plain = bones._courses
    monkeypatch.setattr(
        bones, "_courses", lambda rng, side, joints, slope: given.append(joints) or plain(rng, side, joints, slope)
    )
    for seed in range(8):
        column = bones.column(_rng(seed))
        bones.ribs(_rng(seed), VIEW, column)
        joints = given.pop()
        # At the upper edge of its vertebra, below the disc.
        over = joints[:, None, 2] - column.levels[None]
        assert np.abs(over - column.half_mm).min(axis=1).max() < 1e-9
        assert len(joints) > 8
        courses = plain(_rng(seed), 1.0, joints, 75.0)
        assert np.abs(courses[:, 0] - joints)[:, 1:].max() < 13.0
        assert np.allclose(courses[:, 0, 2], joints[:, 2])
        assert (np.diff(column.levels) > 2.0 * column.half_mm + 2.9).all()


def test_the_aorta_has_a_sharp_edge_along_the_spine() -> None:
    layer = anatomy._aorta(_rng(2), VIEW)
    row = layer[CANVAS // 2]
    assert 0.15 < float(row.max()) < 0.3
    assert 20.0 < float((row > 0).sum()) * VIEW.mm_per_pixel < 34.0
    assert float(np.abs(np.diff(row)).max()) > 0.1 * float(row.max())


def test_ribs_and_vertebrae_of_a_chest_have_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bones.Column] = []
    blank = np.zeros((CANVAS, CANVAS), np.float32)
    for part in ("ribs", "spine"):
        monkeypatch.setattr(bones, part, lambda _rng, _view, column: given.append(column) or blank)
    anatomy.thorax(_rng(2), VIEW)
    assert len(given) == 2
    assert given[0] is given[1]


def test_the_aorta_ends_above_in_its_arch() -> None:
    view = replace(VIEW, mm_per_pixel=0.8)
    for seed in range(6):
        layer = anatomy._aorta(_rng(seed), view)
        top = np.flatnonzero(layer.max(axis=1) > 0.01)[0]
        low, high = (float(view.project(anatomy.DESCENDING[None] + [[0.0, 0.0, z]])[0, 1]) for z in anatomy._ARCH_MM)
        assert high - 1.0 <= top <= low + 12.0


@pytest.mark.parametrize("view", _VIEWS)
def test_a_catheter_from_the_groin_lies_in_the_shadow_of_the_aorta(view: View) -> None:
    view, tip = replace(view, mm_per_pixel=0.8), np.array([-10.0, 5.0, 20.0])
    for seed in range(20):
        layer = anatomy._aorta(_rng(seed), view)
        course = instruments.catheter_course(_rng(seed), tip, "judkins_left", anatomy.DESCENDING, from_arm=False)
        low = view.project(course[(course[:, 2] < tip[2] - 30.0) & (course[:, 2] > -140.0)])
        spots = np.round(low[((low > 0) & (low < CANVAS - 1)).all(axis=1)]).astype(int)
        assert len(spots) > 8
        assert (layer[spots[:, 1], spots[:, 0]] > 0.0).all()


def test_parts_of_the_chest_show_from_hardly_to_strongly() -> None:
    detail = []
    for seed in range(16):
        chest = anatomy.thorax(_rng(seed), VIEW)
        detail.append(float(np.percentile(np.abs(np.diff(chest, axis=1)), 99)))
    assert max(detail) > 1.8 * min(detail)
