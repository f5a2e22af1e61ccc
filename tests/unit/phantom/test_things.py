"""Instruments, implants and the body behind the vessels: where they lie, what they weaken and how they are placed."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import anatomy, bones, devices, instruments, limbs, tree
from dicomqc.phantom.contrast import CELL
from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart, unit
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, View
from tests.support.phantom_parts import STILL, VIEW, gaps

_HEART: Final = Heart(length_mm=105.0, radius_mm=44.0)
_NPM: Final = 0.3
_SHAPES: Final = ("judkins_left", "judkins_right", "amplatz", "extra_backup", "multipurpose")


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("from_arm", [True, False])
def test_a_catheter_comes_from_the_groin_or_the_arm_and_ends_at_the_ostium(from_arm: bool) -> None:
    tip = np.array([-10.0, 5.0, 20.0])
    for seed, shape in enumerate(_SHAPES):
        course = instruments.catheter_course(_rng(seed), tip, shape, anatomy.DESCENDING, from_arm=from_arm)
        assert course[-1] == pytest.approx(tip)
        assert course[0, 2] > 100.0 if from_arm else course[0, 2] < -100.0
        ring = instruments.pigtail(course)[len(course) :]
        assert np.ptp(ring[:, 2]) == pytest.approx(13.0, abs=2.0)


def test_a_catheter_from_the_groin_and_an_injected_aorta_run_down_in_the_descending_aorta_wherever_the_chest_lies() -> None:
    for seed in range(12):
        descending = anatomy.DESCENDING + anatomy.chest_shift(_rng(seed))
        tip = np.array([-10.0, 5.0, 20.0])
        catheter = instruments.catheter_course(_rng(seed), tip, "judkins_left", descending, from_arm=False)
        for course in (catheter, limbs.aorta(_rng(seed), tip, descending)[0].points):
            low = course[course[:, 2] < tip[2] - 30.0]
            assert len(low) > 10
            assert np.hypot(*(low - descending)[:, :2].T).max() < 11.0


def test_each_side_has_its_usual_catheters() -> None:
    shapes = {side: [instruments.shape_for(_rng(seed), side) for seed in range(200)] for side in ("left", "right")}
    assert set(shapes["left"]) == {"judkins_left", "extra_backup", "amplatz", "multipurpose"}
    assert set(shapes["right"]) == {"judkins_right", "amplatz", "multipurpose"}
    assert 0.45 < shapes["left"].count("judkins_left") / 200 < 0.65
    assert 0.6 < shapes["right"].count("judkins_right") / 200 < 0.8


def test_a_catheter_is_of_4_to_7_french_with_a_lumen_that_fills_when_the_ostium_does() -> None:
    course = instruments.catheter_course(_rng(1), np.zeros(3), "judkins_left", anatomy.DESCENDING, from_arm=False)
    tubes = [instruments.catheter(_rng(seed), _HEART, STILL, course, _NPM) for seed in range(60)]
    assert {float(wall.width[0]) for wall, _ in tubes} == {1.35, 1.67, 2.0, 2.33}
    depths = [float(wall.depth[0]) * _NPM for wall, _ in tubes]
    assert 0.16 <= min(depths) < 0.18
    assert 0.40 < max(depths) <= 0.42
    for wall, inner in tubes:
        assert inner.width[0] < wall.width[0]
        assert inner.depth[0] <= wall.depth[0]
        way = instruments.lumen(wall).way
        assert way is not None
        assert (way == 0.0).all()


@pytest.mark.parametrize("grow", [tree.left, tree.right, tree.graft])
def test_a_wire_runs_from_the_catheter_down_a_main_vessel(grow) -> None:  # type: ignore[no-untyped-def]
    last = set()
    for seed in range(40):
        vessels = grow(_rng(seed), _HEART)
        way = instruments.wire_in_vessels(_rng(seed), vessels[0].points[0], vessels)
        assert np.array_equal(way[0], vessels[0].points[0])
        # All of the first vessel, without a jump.
        assert np.linalg.norm(way - vessels[0].points[-1], axis=1).min() < 1e-9
        assert np.linalg.norm(np.diff(way, axis=0), axis=1).max() < 4.0
        assert gaps(way, np.vstack([b.points for b in vessels])).max() < 1.5
        ends = [i for i, b in enumerate(vessels) if np.linalg.norm(b.points - way[-1], axis=1).min() < 1e-9]
        last.add(ends[0])
    # A wire in a graft goes on in the native vessel where that begins at the graft's end, and else ends there.
    assert len(last) >= 2


def test_where_the_catheter_stands_off_the_wire_bridges_the_gap() -> None:
    vessels = tree.right(_rng(3), _HEART)
    tip = vessels[0].points[0] + np.array([-6.0, 2.0, 9.0])
    way = instruments.wire_in_vessels(_rng(3), tip, vessels)
    assert np.array_equal(way[0], tip)
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).max() < 3.0


def test_a_wire_that_stands_free_leaves_the_catheter_straight_and_ends_in_a_hook() -> None:
    course = instruments.catheter_course(_rng(1), np.zeros(3), "judkins_left", anatomy.DESCENDING, from_arm=False)
    for seed in range(10):
        way = instruments.free_wire(_rng(seed), course)
        steps = np.diff(way, axis=0)
        assert np.array_equal(way[0], course[-1])
        assert unit(steps[0]) @ unit(course[-1] - course[-3]) > 0.9
        assert unit(steps[-1]) @ unit(steps[0]) < 0.0
        assert 8.0 < np.linalg.norm(steps, axis=1).sum() < 65.0


def test_a_guide_wires_tip_is_denser_and_it_lies_in_the_vessels() -> None:
    native = tree.left(_rng(5), _HEART)
    way = instruments.wire_in_vessels(_rng(2), native[0].points[0], native)
    (wire,) = instruments.guide_wire(_rng(2), _HEART, STILL, way, _NPM, treated=False)
    assert wire.width[0] == 0.36
    assert wire.depth[-1] > 1.9 * wire.depth[0]
    assert np.median(gaps(wire.points, np.vstack([b.points for b in native]))) < 2.0
    assert np.linalg.norm(wire.points - way, axis=1).max() < 3.0


def test_what_treats_lies_on_its_wire_as_markers_an_inflated_balloon_or_a_burr() -> None:
    native = tree.left(_rng(5), _HEART)
    way = instruments.wire_in_vessels(_rng(2), native[0].points[0], native)
    found = {"markers": 0, "balloon": 0, "burr": 0}
    for seed in range(120):
        wire, *things = instruments.guide_wire(_rng(seed), _HEART, STILL, way, _NPM, treated=True)
        assert all(gaps(thing.points, wire.points).max() < 1e-9 for thing in things)
        nepers = [float(thing.depth[0]) * _NPM for thing in things]
        sizes = [len(thing.points) for thing in things]
        if len(things) == 4:
            found["balloon"] += 1
            assert 2.0 <= things[1].width[0] <= 3.8
            assert nepers[1] <= 0.5 < nepers[2] == nepers[3]
        elif sizes == [2, 2]:
            found["markers"] += 1
            assert things[0].width[0] == 1.0
        else:
            found["burr"] += 1
            assert len(things) == 2
            assert nepers[0] <= 0.3
            assert nepers[1] >= 0.6
        if len(things) != 2 or sizes != [2, 2]:
            # The shaft comes from the catheter, and ends where the balloon or the burr begins.
            assert np.array_equal(things[0].points[0], wire.points[0])
            assert np.array_equal(things[0].points[-1], things[1].points[0])
    assert found["markers"] > 30
    assert min(found["balloon"], found["burr"]) > 20


def test_stents_lie_in_wide_vessels_and_are_faint() -> None:
    native = tree.left(_rng(5), _HEART)
    wide = np.vstack([b.points for b in native if b.diameter[0] >= 2.2])
    for seed in range(20):
        for strand in instruments.stents(_rng(seed), _HEART, STILL, native, _NPM):
            assert gaps(strand.points, wide).max() < 1e-9
            assert 0.0 < strand.depth.max() * _NPM <= 0.12
    narrow = [b for b in native if b.diameter[0] < 2.2]
    assert instruments.stents(_rng(1), _HEART, STILL, narrow, _NPM) == []


def test_an_implant_is_opaque_where_it_covers_and_little_lies_beside_its_footprint() -> None:
    for seed in range(9):
        layer, covers = devices.implant(_rng(seed), 0.3)
        assert set(np.unique(covers)) == {0, 255}
        assert 1.7 < float(layer.max()) <= 3.21
        assert float(layer[covers > 0].sum()) > 0.6 * float(layer.sum())
        assert float(layer[covers > 0].mean()) > 10.0 * float(layer[covers == 0].mean())


@pytest.mark.parametrize("over", [True, False])
def test_placing_an_implant_hides_the_vessels_or_spares_them_and_moves_the_layer_with_its_footprint(over: bool) -> None:
    spots = VIEW.project(np.vstack([b.points for b in tree.left(_rng(7), _HEART)[:10]]))
    mask = devices.course_mask([spots])
    frame = slice(MARGIN // 4, (MARGIN + FRAME) // 4)
    for seed in range(4):
        device = devices.implant(_rng(seed), 0.3)
        layer, covers = devices.place(_rng(seed), device, mask, over=over)
        hidden = float((covers[::4, ::4] > 0)[mask > 0].mean())
        assert hidden > devices.OVER - 0.1 if over else hidden <= devices.BESIDE
        assert float((covers[::4, ::4] > 0)[frame, frame].sum()) > 0.3 * float((device[1][::4, ::4] > 0).sum())
        assert float(layer[covers > 0].mean()) == pytest.approx(float(device[0][device[1] > 0].mean()), rel=0.25)


def test_wires_clips_and_leads_are_thin_and_lie_where_they_belong() -> None:
    along = np.array([[20.0, -40.0, 10.0], [30.0, -30.0, -20.0]])
    for seed in range(6):
        wires, lead = devices.sternal_wires(_rng(seed), VIEW), devices.monitoring_lead(_rng(seed))
        clips = devices.clips(_rng(seed), VIEW, along)
        assert 0.002 < float((wires > 0.2).mean()) < 0.05
        assert 0.1 < float(lead.max()) <= 0.5
        rows, columns = np.nonzero(clips > 0.2)
        middle = VIEW.project(along).mean(axis=0)
        assert 5 < len(rows) < 2000
        assert np.abs(np.array([columns.mean(), rows.mean()]) - middle).max() < 90.0


def test_the_heart_is_a_shadow_around_its_middle_and_the_chest_follows_its_seed() -> None:
    shadow = anatomy.heart_shadow(VIEW, _HEART)
    middle = CANVAS // CELL // 2
    assert shadow.shape == (CANVAS // CELL, CANVAS // CELL)
    assert 0.5 < float(shadow[middle - 5 : middle + 5, middle - 5 : middle + 5].mean()) < 1.5
    assert float(shadow[2, 2]) == 0.0
    air, spine = anatomy.enlarge(anatomy._lungs(_rng(2), VIEW)), bones.spine(_rng(2), VIEW, bones.column(_rng(2)))
    assert float(air.max()) > 0.5
    # Lungs lie beside the spine.
    assert float(air[spine > 0.3].mean()) < 0.5 * float(air.mean())
    chest = anatomy.thorax(_rng(3), VIEW)
    assert chest.dtype == np.float32
    assert np.array_equal(chest, anatomy.thorax(_rng(3), VIEW))
    assert not np.array_equal(chest, anatomy.thorax(_rng(4), VIEW))


def test_the_diaphragm_lies_below_and_tissue_is_coarser_than_clutter() -> None:
    dome = np.mean([anatomy.diaphragm(_rng(seed), VIEW) for seed in range(6)], axis=0)
    assert float(dome[-160:].mean()) > 2.0 * float(dome[:160].mean())
    tissue, clutter = anatomy.enlarge(anatomy.tissue(_rng(1), 0.2)), anatomy.clutter(_rng(1))
    roughness = [float(np.abs(np.diff(layer)).mean() / layer.std()) for layer in (tissue, clutter)]
    assert roughness[0] < roughness[1]


def test_a_puncture_site_has_bone_and_its_artery_lies_in_the_picture_whatever_the_view() -> None:
    for seed in range(3):
        groin, forearm = limbs.groin(_rng(seed)), limbs.forearm(_rng(seed))
        assert groin.shape == forearm.shape == (CANVAS, CANVAS)
        assert float(np.percentile(groin, 98) - np.percentile(groin, 5)) > 0.3
        assert float(forearm[:, 270:370].mean()) > float(forearm[:, :60].mean()) + 0.2
        branches = limbs.artery(_rng(seed))
        turned = replace(VIEW, primary_deg=60.0, secondary_deg=25.0)
        for plain, other in zip(_shown(branches, VIEW), _shown(branches, turned), strict=True):
            assert plain == pytest.approx(other, abs=1e-6)
        assert branches[0].diameter[0] > branches[0].diameter[-1] > branches[1].diameter[-1]


def _shown(branches: list[Branch], view: View) -> list[np.ndarray]:
    return [view.project(b.points) for b in limbs.facing(branches, view)]


def test_an_aorta_is_wide_and_runs_down_behind_the_heart() -> None:
    main, *arteries = limbs.aorta(_rng(1), np.zeros(3), anatomy.DESCENDING)
    assert 24.0 <= main.diameter[-1] <= 34.0
    assert main.diameter[0] > 1.3 * main.diameter[-1]
    assert main.points[-1, 2] < -200.0
    assert len(arteries) == 3
    assert all(b.points[-1, 2] > b.points[0, 2] + 70.0 for b in arteries)
