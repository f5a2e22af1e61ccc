import math
from dataclasses import fields, replace

import numpy as np
import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome
from dicomqc.sample.display import resize
from dicomqc.sample.spec import X3D_S, FrameSpec
from training import carryover, noise
from training.carryover import Variant
from training.carryover_check import Carried, Row, rendered

_SMALL = FrameSpec(kind="3d", step=2, size=48)
_FIRST = 15  # the first frame with contrast
_SIDES = (128, 144)


def run(frames: int = 75) -> np.ndarray:
    """A soft background with noise; dark branches appear at frame 15, are strongest at 40 and move with a heart."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[: _SIDES[0], : _SIDES[1]].astype(np.float64)
    made = []
    for number in range(1, frames + 1):
        depth = 0.0 if number < _FIRST else 70.0 * math.exp(-(((number - 40) / 25) ** 2))
        shift = 2 * math.sin(number / 2)
        lines = sum(np.exp(-(((y - 0.2 * k * _SIDES[0] - 8 * np.sin(x / 20 + k) - shift) / 1.5) ** 2)) for k in range(1, 5))
        made.append(120 + 30 * np.sin(x / 50) - depth * lines + random.normal(0, 3, _SIDES))
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cine() -> np.ndarray:
    return run()


@pytest.fixture(scope="module")
def made(cine: np.ndarray) -> dict[str, carryover.Clip]:
    return {clip.kind: clip for clip in carryover.clips(cine, contrast_from=_FIRST, seed=1)}


def test_to_and_fro_goes_there_and_back_without_holding_an_end() -> None:
    block = np.arange(4, dtype=np.uint8)[:, None, None]
    assert carryover.to_and_fro(block, 11).ravel().tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert carryover.to_and_fro(block[:1], 3).ravel().tolist() == [0, 0, 0]


def test_every_made_cine_is_as_long_as_the_run_and_at_least_60_frames(made: dict[str, carryover.Clip]) -> None:
    assert {clip.cine.shape for clip in made.values()} == {(75, *_SIDES)}
    assert {clip.cine.dtype for clip in made.values()} == {np.dtype(np.uint8)}
    short = {c.kind: c.cine for c in carryover.clips(run(50), contrast_from=_FIRST, seed=1)}
    assert {len(frames) for kind, frames in short.items() if kind != carryover.THE_RUN} == {60}


def test_looped_cines_hold_frames_of_the_run_from_their_own_side_of_the_arrival(
    cine: np.ndarray, made: dict[str, carryover.Clip]
) -> None:
    number = {frame.tobytes(): n for n, frame in enumerate(cine, start=1)}
    bare = {number[frame.tobytes()] for frame in made[carryover.BARE_LOOPED].cine}
    filled = {number[frame.tobytes()] for frame in made[carryover.FILLED_LOOPED].cine}
    assert bare == set(range(1, _FIRST))
    assert len(filled) == _FIRST - 1
    assert filled == set(range(min(filled), max(filled) + 1))
    assert min(filled) <= 40 <= max(filled)


def test_positives_are_filled_and_negatives_are_not(made: dict[str, carryover.Clip]) -> None:
    amounts = {kind: float(np.median(carryover.filling(clip.cine))) for kind, clip in made.items() if "white" not in kind}
    wanted = {kind: made[kind].wanted for kind in amounts}
    positive = [amounts[kind] for kind in amounts if wanted[kind] is Outcome.SATISFACTORY]
    negative = [amounts[kind] for kind in amounts if wanted[kind] is Outcome.UNSATISFACTORY]
    assert (len(positive), len(negative)) == (3, 4)
    assert min(positive) > 2 * max(negative)


def test_the_same_motion_and_noise_for_every_frame_and_others_for_another_seed(cine: np.ndarray) -> None:
    found = noise.measured(cine[: _FIRST - 1])
    one = carryover.moving(cine[7], 20, found, 1)
    assert np.array_equal(carryover.moving(cine[7], 20, found, 1), one)
    assert not np.array_equal(carryover.moving(cine[7], 20, found, 2), one)
    brighter = carryover.moving(np.clip(cine[7], 0, 200) + np.uint8(20), 20, replace(found, levels=0 * found.levels), 1)
    plain = carryover.moving(np.clip(cine[7], 0, 200), 20, replace(found, levels=0 * found.levels), 1)
    assert np.array_equal(brighter, plain + 20)


def test_a_moved_frame_moves_as_a_rigid_thing_by_a_few_pixels(cine: np.ndarray) -> None:
    silent = replace(noise.measured(cine[: _FIRST - 1]), levels=np.zeros(5))
    y, x = np.mgrid[: _SIDES[0], : _SIDES[1]].astype(np.float64)
    blobs = [np.exp(-((y - 64) ** 2 + (x - column) ** 2) / 18) for column in (40, 100)]
    frames = carryover.moving(np.rint(20 + 180 * sum(blobs)).astype(np.uint8), 60, silent, 4).astype(np.float64)
    halves = [np.clip(frames[:, :, part] - 30, 0, None) for part in (slice(0, 70), slice(70, None))]
    left, right = (
        np.array([[(f * g[: f.shape[0], : f.shape[1]]).sum() / f.sum() for g in (y, x)] for f in half]) for half in halves
    )
    middle = (left + right) / 2
    # 4 px of the heart and 6 of the breath at 512 rows, to both sides, are 5 px of these 128.
    assert 0.5 < np.ptp(middle, axis=0).max() < 5.5
    turn = np.degrees(np.arctan2(right[:, 0] - left[:, 0], right[:, 1] + 70 - left[:, 1]))
    assert 0.3 < np.ptp(turn) < 4.5
    apart = np.hypot(right[:, 0] - left[:, 0], right[:, 1] + 70 - left[:, 1])
    assert apart == pytest.approx(np.full(60, 60.0), abs=0.5)


def test_twenty_variants_reach_every_mild_end() -> None:
    variants = carryover.variants(X3D_S, 75, _FIRST, 1)
    assert len(set(variants)) == 20
    assert variants[0] == Variant()
    ends = {f.name: {getattr(v, f.name) for v in variants} for f in fields(Variant)}
    assert {-5.0, 5.0} <= ends["rotate_deg"]
    assert {-8, 8} <= ends["shift"]
    assert (min(ends["gamma"]), max(ends["gamma"])) == (0.75, 1.33)
    assert (max(ends["blur_px"]), max(ends["noise"]), max(ends["crop"])) == (1.5, 4.0, 0.08)
    assert carryover.variants(X3D_S, 75, _FIRST, 2)[-1] != variants[-1]


def test_another_draw_shares_no_noise_and_no_mixture() -> None:
    one, other = (carryover.variants(X3D_S, 75, _FIRST, seed) for seed in (1, 2))
    noisy = [{(v.noise, v.seed) for v in draw if v.noise} for draw in (one, other)]
    assert not noisy[0] & noisy[1]
    assert not {seed for _, seed in noisy[0]} & {seed for _, seed in noisy[1]}
    # What is the same in every draw has no chance in it.
    assert all(v.noise == 0.0 for v in {*one} & {*other})


@pytest.mark.parametrize(
    ("frames", "contrast_from", "shifts"), [(75, 15, (-8, 8)), (75, 26, (-4, 8)), (50, 15, (-8, 3)), (47, 60, (0, 0))]
)
def test_the_start_moves_only_while_contrast_is_in_the_window(frames: int, contrast_from: int, shifts: tuple[int, int]) -> None:
    found = [variant.shift for variant in carryover.variants(X3D_S, frames, contrast_from, 1)]
    assert (min(found), max(found)) == shifts


def test_an_unchanged_variant_is_what_the_node_samples_and_a_shift_moves_its_frames(cine: np.ndarray) -> None:
    numbers = np.array(_SMALL.frame_numbers())
    assert np.array_equal(carryover.sampled(cine, Variant(), _SMALL), resize(cine[numbers - 1], 48))
    for shift in (-8, 8):
        assert np.array_equal(carryover.sampled(cine, Variant(shift=shift), _SMALL), resize(cine[numbers - 1 + shift], 48))


def test_a_variant_changes_negatives_and_positives_alike() -> None:
    dark, bright = (np.full((60, *_SIDES), grey, np.uint8) for grey in (100, 110))
    noisy = Variant(noise=4.0, seed=3)
    added = [carryover.sampled(cine, noisy, FrameSpec(kind="3d", step=2, size=_SIDES[0])) for cine in (dark, bright)]
    assert np.abs(added[1].astype(int) - added[0] - 10).max() <= 1
    assert added[0].std() > 2
    assert np.all(carryover.sampled(dark, Variant(gamma=1.33), _SMALL) == round(255 * (100 / 255) ** 1.33))


def test_rotation_and_crop_are_about_the_middle_and_lose_the_edge() -> None:
    frames = np.full((60, 128, 128), 100, np.uint8)
    frames[:, 58:70, 100:106] = 200
    frames[:, :6] = 0
    spec = FrameSpec(kind="3d", step=2, size=128)
    turned = carryover.sampled(frames, Variant(rotate_deg=5.0), spec)[0]
    bright = np.argwhere(turned > 150).mean(axis=0) - 63.5
    assert math.degrees(math.atan2(bright[0], bright[1])) == pytest.approx(5.0, abs=0.7)
    assert carryover.sampled(frames, Variant(crop=0.08), spec).min() >= 99


@pytest.mark.parametrize("contrast_from", [-3, 0, 1, 5, 72, 90])
def test_a_run_without_enough_frames_on_both_sides_is_refused(cine: np.ndarray, contrast_from: int) -> None:
    with pytest.raises(ConfigError, match="at least 5 frames before contrast"):
        carryover.clips(cine, contrast_from=contrast_from, seed=1)


def carried(positive: tuple[float, ...], negative: tuple[float, ...], misses: int = 0) -> Carried:
    rows = (
        Row(kind=carryover.FILLED_MOVED, wanted=Outcome.SATISFACTORY, logits=positive, misses=0),
        Row(kind=carryover.BARE_MOVED, wanted=Outcome.UNSATISFACTORY, logits=negative, misses=misses),
    )
    return Carried(model="a@1", threshold=0.5, variants=(Variant(), Variant(shift=8)), rows=rows)


_OF_OTHERS = "pairs less than 2 apart of other variants, though not under one and the same"
_OF_ONE = "pairs less than 2 apart under one and the same variant"


@pytest.mark.parametrize(
    ("positive", "negative", "misses", "breaches"),
    [
        ((-1.0, -3.0), (1.0, 4.0), 0, ()),
        ((-3.0, 1.0), (1.0, 4.0), 0, (_OF_OTHERS,)),
        ((-1.0, -3.0), (0.5, 4.0), 0, (_OF_ONE,)),
        ((-1.0, -3.0), (1.0, 4.0), 1, ("1 on the wrong side of the threshold",)),
        ((-1.0, -3.0), (0.5, 4.0), 2, (_OF_ONE, "2 on the wrong side of the threshold")),
    ],
    ids=["gap of two", "one pair too near, of other variants", "of one variant", "a wrong side", "both"],
)
def test_the_promise_is_a_gap_of_two_in_every_pair_and_the_right_side(
    positive: tuple[float, ...], negative: tuple[float, ...], misses: int, breaches: tuple[str, ...]
) -> None:
    found = carried(positive, negative, misses)
    assert found.kept is (breaches == ())
    assert found.breaches == breaches
    assert found.gap == min(negative) - max(positive)
    assert found.gap_by_variant == min(negative[0] - positive[0], negative[1] - positive[1])
    assert found.misses == {carryover.FILLED_MOVED: 0, carryover.BARE_MOVED: misses}
    told = f"the promise is broken: {', '.join(breaches)}" if breaches else "the promise is kept"
    assert rendered(found).splitlines()[-1] == told


def test_the_table_names_what_came_nearest_to_the_other_side() -> None:
    lines = rendered(carried((-4.0, -3.0), (5.0, 6.5))).splitlines()
    filled, bare = f"{carryover.FILLED_MOVED} satisfactory", f"{carryover.BARE_MOVED} unsatisfactory"
    assert " ".join(lines[1].split()) == f"{filled} 2 -4.00 -3.50 -3.00 0 shift 8"
    assert " ".join(lines[2].split()) == f"{bare} 2 +5.00 +5.75 +6.50 0 unchanged"
    assert "smallest gap +8.00, promised 2; under one variant +9.00" in lines
    assert "worst logit of positives -3.00, of negatives +5.00" in lines
