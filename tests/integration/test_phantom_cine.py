from dataclasses import replace

import cv2
import numpy as np
import pytest

from dicomqc.phantom import anatomy, bones, cine, cohort, injection, motion, scene, sight, tree
from dicomqc.phantom.contrast import Bolus
from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.plan import JPEG_BASELINE, JPEG_LOSSLESS_SV1, CinePlan, Kind, Stream
from dicomqc.phantom.projection import CANVAS, MARGIN, View, mm
from dicomqc.phantom.tubes import Strand
from tests.support.phantom_parts import VIEW, gaps

_SAMPLED_S = [(number - 1) / 15.0 for number in range(16, 47, 2)]
_FLAT = {"frame_rate_hz": 15.0, "source_rate_hz": 15.0, "frames": 75, "jpeg_quality": 0}


def _plan(kind: Kind, patient: int = 0, **changes: object) -> CinePlan:
    return replace(cohort.draw(21, patient, 0, kind), **{**_FLAT, **changes})  # type: ignore[arg-type]


def test_any_frames_equal_those_of_the_full_cine() -> None:
    for patient in range(4):
        plan = cohort.draw(22, patient, 0, Kind.CORONARY)
        full = cine.render(replace(plan, frames=12))
        assert full.shape == (12, 512, 512)
        assert full.dtype == np.uint8
        assert np.array_equal(cine.render(replace(plan, frames=12), [11, 3, 4]), full[[10, 2, 3]])


def test_frames_are_bit_equal_whatever_was_rendered_before() -> None:
    plan = _plan(Kind.CORONARY)
    first = cine.render(plan, [20, 30])
    cine.render(_plan(Kind.GRAFT, 5), [20])
    cine.render(_plan(Kind.GRAFT, 6), [20])
    assert np.array_equal(cine.render(plan, [20, 30]), first)


def test_noise_is_fresh_in_every_frame_and_the_picture_is_not_flat() -> None:
    first, second = cine.render(_plan(Kind.NO_CONTRAST), [20, 21]).astype(np.float64)
    assert (first != second).mean() > 0.2
    assert first.std() > 5


def test_contrast_darkens_the_vessels_and_only_where_it_is_injected() -> None:
    plan = _plan(Kind.CORONARY, 1)
    built = scene.build(plan)
    at = cine.moment(plan, built, 36)
    placed = built.native.place(at.squeeze, built.motion.breath_mm * motion.HEART_RIDES * at.breath, at.table_px[::-1])
    spots = np.round(placed[built.native.depth > 1.5]).astype(int)
    spots = spots[((spots > 40) & (spots < 470)).all(axis=1)]
    mask = np.zeros((512, 512), np.uint8)
    mask[spots[:, 1], spots[:, 0]] = 255
    far = cv2.dilate(mask, np.ones((61, 61), np.uint8)) == 0
    filled, empty = cine.render(plan, [36])[0], cine.render(replace(plan, kind=Kind.NO_CONTRAST), [36])[0]
    darker = empty.astype(np.float64) - filled
    assert len(spots) > 30
    assert np.median(darker[mask > 0]) > 8
    assert abs(np.median(darker[far])) <= 3


def test_the_tree_lies_about_in_the_middle_of_the_picture_on_the_tables_way() -> None:
    heart, away, along = Heart(length_mm=105.0, radius_mm=44.0), [], []
    for patient in range(200):
        plan = _plan(Kind.CORONARY, patient)
        moves, rng = motion.draw(plan, beating=True), np.random.default_rng(patient)
        way = np.array(moves.table_px(plan.frames / plan.frame_rate_hz))
        if patient > 20 and np.hypot(*way) < 50.0:
            continue
        native = tree.left(rng, heart)
        spots = scene._framed(plan, native, moves, rng).project(np.vstack([b.points for b in native])) - CANVAS / 2
        middle = np.percentile(spots, [3.0, 97.0], axis=0).mean(axis=0)
        share = float(middle @ way / max(way @ way, 1.0))
        away.append(float(np.hypot(*(middle - np.clip(share, 0.0, 1.0) * way))))
        along += [share] if np.hypot(*way) >= 50.0 else []
    assert np.median(away) < 40.0
    assert max(away) < 120.0
    # Neither where the way begins nor where it ends.
    assert len(along) > 15
    assert 0.3 < np.median(along) < 0.7


def test_the_chest_lies_off_the_heart_by_the_same_shift_in_every_view() -> None:
    shift = anatomy.chest_shift(np.random.default_rng(4))
    for primary in (-30.0, 0.0, 45.0):
        view = replace(VIEW, primary_deg=primary)
        # The shift of the origin stands for that of all points: a few pixels by the cone.
        for point in (np.zeros(3), bones.BODY, bones.BODY + mm(40.0, -60.0, 70.0)):
            there = anatomy.chest_view(view, shift).project(point[None])
            assert np.abs(there - view.project((point + shift)[None])).max() < 14.0
    assert np.abs(shift).max() > 3.0


@pytest.mark.parametrize("patient", range(12))
def test_only_late_contrast_misses_the_sampled_frames(patient: int) -> None:
    for kind, fills in ((Kind.CORONARY, True), (Kind.LATE_CONTRAST, False)):
        bolus = injection.bolus(_plan(kind, patient))
        levels = [float(bolus.level(t, np.zeros(1))[0]) for t in _SAMPLED_S]
        assert (sum(level >= 0.3 for level in levels) >= 5) is fills


def test_the_bolus_arrives_later_downstream_and_washes_out() -> None:
    bolus = Bolus(start_s=1.0, rise_s=0.4, duration_s=2.0, washout_s=1.0, speed_mm_s=100.0, strength=0.8, reach_mm=1e6)
    near, far = bolus.level(1.5, np.array([0.0, 100.0]))
    assert near == pytest.approx(0.8)
    assert far == 0.0
    assert bolus.level(0.9, np.zeros(1))[0] == 0.0
    assert bolus.level(6.0, np.zeros(1))[0] < 0.05


def test_the_heart_contracts_once_a_beat_and_rests() -> None:
    moves = replace(motion.draw(_plan(Kind.CORONARY), beating=True), beats_per_s=1.0, phase=0.0)
    beat = [moves.contraction(t) for t in np.linspace(0, 0.999, 100)]
    assert max(beat) == pytest.approx(1.0, abs=0.01)
    assert beat[60:] == [0.0] * 40
    assert motion.draw(_plan(Kind.PUNCTURE_SITE), beating=False).squeeze == 0.0


def test_the_table_never_leaves_the_canvas() -> None:
    for patient in range(40):
        moves = motion.draw(_plan(Kind.CORONARY, patient), beating=True)
        assert all(abs(v) < MARGIN for t in np.linspace(0, 6, 30) for v in moves.table_px(t))


def test_a_source_at_half_the_rate_is_doubled_and_frames_only_go_forward() -> None:
    for patient in range(60):
        numbers = np.array(motion.source_numbers(_plan(Kind.CORONARY, patient, source_rate_hz=7.5)))
        assert (np.diff(numbers) >= 0).all()
        assert len(set(numbers.tolist())) < 45


def test_a_cone_beam_enlarges_what_lies_nearer_to_the_source() -> None:
    view = View(primary_deg=0.0, secondary_deg=0.0, mm_per_pixel=0.3, offset=(0.0, 0.0))
    front, back = view.project(np.array([mm(30, -80, 0), mm(30, 80, 0)]))[:, 0] - CANVAS / 2
    assert back > 1.15 * front
    assert view.project(np.zeros((1, 3)))[0] == pytest.approx([CANVAS / 2] * 2)


def test_calibres_fall_from_the_ostium_down_to_small_vessels() -> None:
    for seed, grow in ((1, tree.left), (2, tree.right), (3, tree.left)):
        branches = grow(np.random.default_rng(seed), Heart(length_mm=105.0, radius_mm=44.0))
        assert len(branches) > 20
        assert branches[0].diameter[0] > 0.85 * max(b.diameter.max() for b in branches)  # calibres are uneven
        assert min(b.diameter.min() for b in branches) < 0.6
        assert all((np.diff(b.distance) > 0).all() for b in branches)
        assert sum(float(b.distance[-1] - b.distance[0]) for b in branches) > 500


def test_beyond_an_occlusion_nothing_is_asked_for_and_what_fills_there_fills_late() -> None:
    heart = Heart(length_mm=105.0, radius_mm=44.0)
    closed = collateral = 0
    for seed in range(120):
        for grow in (tree.left, tree.right):
            branches = grow(np.random.default_rng(seed), heart)
            beyond = [b for b in branches if b.collateral]
            collateral += bool(beyond)
            direct = [b for b in branches if not b.collateral]
            # Nothing that is asked for hangs on what is closed: each vessel's root lies on one that is not beyond.
            roots = np.vstack([b.points for b in direct])
            assert all(np.linalg.norm(roots - b.points[0], axis=1).min() < 1e-6 for b in direct)
            closed += len(direct) < len(branches)
            assert all(b.distance[0] > 150.0 for b in beyond)
    assert 8 < collateral < 40
    assert closed == collateral


def test_the_tree_that_must_be_seen_is_without_collaterals() -> None:
    line = np.stack([np.arange(20.0)] * 3, axis=1)
    vessel = Branch(points=line, wall=line, diameter=np.linspace(3.0, 0.5, 20), distance=line[:, 0], family=1)
    counted = scene._counted([vessel, replace(vessel, collateral=True)])
    assert len(counted) == 1
    assert counted[0].diameter.min() >= 1.0
    assert np.array_equal(counted[0].points, vessel.part(0, len(counted[0].points)).points)


def test_a_plaque_of_less_than_a_millimetre_does_not_count_and_what_lies_behind_it_does() -> None:
    line = np.stack([np.arange(30.0)] * 3, axis=1)
    calibre = np.full(30, 2.0)
    calibre[12:15] = 0.9
    calibre[28:] = 0.8
    counted = scene._counted([Branch(points=line, wall=line, diameter=calibre, distance=line[:, 0], family=1)])
    assert np.vstack([part.points for part in counted])[:, 0].tolist() == [*range(12), *range(15, 28)]


def test_a_scene_names_what_is_foreign_in_it_and_a_satisfactory_clip_is_a_near_miss_by_it() -> None:
    from training.data.sources import near_misses

    plans = [_plan(Kind.CORONARY, patient) for patient in range(40)]
    named = {plan.patient: set(scene.build(plan).present) for plan in plans}
    every = set().union(*named.values())
    assert every == {"sternal wires and clips", "ECG lead", "guide wire", "pacing lead", "stent"}
    assert all(named[plan.patient] <= set(near_misses(plan)) for plan in plans)
    assert any(not one for one in named.values())


def test_a_clip_is_panned_only_where_the_frames_that_it_shows_move(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.data.sources import near_misses

    panned = next(plan for plan in (_plan(Kind.CORONARY, patient) for patient in range(40)) if "panning" in near_misses(plan))
    monkeypatch.setattr(motion, "source_numbers", lambda plan: (1,) * plan.frames)
    assert "panning" not in near_misses(panned)


@pytest.mark.parametrize(("over", "low", "high"), [(True, 0.35, 1.0), (False, 0.0, 0.1)])
def test_an_implant_hides_the_vessels_or_lies_beside_them(over: bool, low: float, high: float) -> None:
    for patient in range(4):
        plan = _plan(Kind.OBSTRUCTING_DEVICE if over else Kind.CORONARY, patient, cause=Kind.OBSTRUCTING_DEVICE)
        built = scene.build(plan)
        assert built.covers is not None
        spots = np.round(built.native.view.project(built.native.points)).astype(int)
        spots = spots[((spots >= MARGIN) & (spots < CANVAS - MARGIN)).all(axis=1)]
        assert low <= (built.covers[spots[:, 1], spots[:, 0]] > 0).mean() <= high


def _strands(plan: CinePlan, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Strand], list[Strand]]:
    """What fills in the plan's scene, and its catheter, wires and the like."""
    kept: list[list[Strand]] = []
    monkeypatch.setattr(scene, "bundle", lambda strands, *_: kept.append(list(strands)))
    scene.build.__wrapped__(plan)
    monkeypatch.undo()
    return kept[0], kept[1]


@pytest.mark.parametrize("kind", [Kind.CORONARY, Kind.GRAFT, Kind.CATHETER_CHECK, Kind.AORTOGRAM, Kind.VENTRICULOGRAM])
def test_a_guide_wire_lies_in_the_vessel_that_the_catheter_is_in_or_stands_free(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = [plan for plan in (_plan(kind, patient) for patient in range(16)) if "guide wire" in scene.build(plan).present]
    assert wired
    for plan in wired:
        filled, (catheter, _, wire, *_) = _strands(plan, monkeypatch)
        assert np.linalg.norm(wire.points[0] - catheter.points[-1]) < 2.0
        long = np.linalg.norm(np.diff(wire.points, axis=0), axis=1).sum()
        if kind in (Kind.CORONARY, Kind.GRAFT):
            assert gaps(wire.points, np.vstack([strand.points for strand in filled])).max() < 3.0
            assert long > 15.0
        else:
            assert 8.0 < long < 65.0
        # A wire straightens a pigtail: the catheter is its course alone.
        assert len(catheter.points) == 90


def test_a_graft_has_no_sinus_that_contrast_flows_back_into() -> None:
    clouds = {
        kind: [len(scene.build(_plan(kind, patient)).clouds) for patient in range(12)] for kind in (Kind.CORONARY, Kind.GRAFT)
    }
    # The blush, and of two in three runs cup and streams; of a graft the streams alone.
    assert set(clouds[Kind.CORONARY]) == {1, 3}
    assert set(clouds[Kind.GRAFT]) == {1, 2}


def test_twins_differ_by_their_cause_alone() -> None:
    good = _plan(Kind.CORONARY, 3, cause=Kind.LATE_CONTRAST)
    late = replace(good, kind=Kind.LATE_CONTRAST)
    before = [1, 2]
    start = injection.usual(good).start_s
    assert np.array_equal(scene.build(good).still, scene.build(late).still)
    assert injection.bolus(good) == replace(injection.bolus(late), start_s=start)
    assert start < 0.07 or np.array_equal(cine.render(good, before), cine.render(late, before))


def test_jpeg_is_in_the_pixels_or_in_the_transfer_syntax_and_never_twice() -> None:
    clean = _plan(Kind.NO_CONTRAST, transfer_syntax_uid=JPEG_LOSSLESS_SV1)
    spoilt, coded = replace(clean, jpeg_quality=50), replace(clean, jpeg_quality=50, transfer_syntax_uid=JPEG_BASELINE)
    plain = cine.render(clean, [20])
    assert not np.array_equal(cine.render(spoilt, [20]), plain)
    assert np.array_equal(cine.render(coded, [20]), plain)
    assert np.array_equal(cine.shown(coded, [20]), cine.render(spoilt, [20]))
    assert np.array_equal(cine.shown(spoilt, [20]), cine.render(spoilt, [20]))


def test_the_label_is_what_is_seen() -> None:
    assert sight.judge(_plan(Kind.NO_CONTRAST)).window == 0.0
    assert not sight.judge(_plan(Kind.GRAFT)).satisfactory
    seen = [sight.judge(_plan(Kind.CORONARY, patient)) for patient in range(12)]
    assert sum(s.satisfactory for s in seen) >= 8
    assert all(s.satisfactory is (s.window >= 0.6) for s in seen)
    assert all(bool(s.reason) is not s.satisfactory for s in seen)
    assert all(len(s.shares) == 16 and s.window == sight.best(np.array(s.shares)) for s in seen)


def test_a_late_injection_is_seen_in_the_run_but_not_in_the_window() -> None:
    seen = [sight.judge(_plan(Kind.LATE_CONTRAST, patient, frames=95)) for patient in range(10)]
    assert all(s.window < 0.6 for s in seen)
    assert max(s.run for s in seen) > 0.6


def test_the_visible_share_agrees_with_what_is_rendered() -> None:
    """Where the tree counts as visible, the frame is darker than the same one without contrast, in the median of five runs."""
    darker = []
    for patient in range(2, 7):
        plan = _plan(Kind.CORONARY, patient)
        assert sight.visible(plan, [40])[0] > sight.visible(plan, [1])[0]
        difference = cine.render(replace(plan, kind=Kind.NO_CONTRAST), [40]).astype(float) - cine.render(plan, [40])
        darker.append(np.percentile(difference, 99))
    assert np.median(darker) > 10


def test_random_streams_of_a_cine_differ() -> None:
    plan = cohort.plan(1, 1)[0]
    assert len({plan.rng(stream).random() for stream in Stream}) == len(Stream)
