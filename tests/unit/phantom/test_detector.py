"""The imaging chain: what is drawn lies within the documented ranges and spans them, and each step does what it says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dicomqc.phantom import cine, cohort, detector, motion, scene, shutters
from dicomqc.phantom.detector import _LEVELS, _MOST_NOISE, SHRINKS, Detector, Optics
from dicomqc.phantom.plan import CinePlan, Kind
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, Float, Points
from tests.support.phantom_parts import GREY_PER_NEPER, canvas, open_field, share, still_scene, straight_detector

_DRAWS: Final = 200
_SHOWN_PER_NEPER: Final = 200.0
_WIDE: Final = 2 * MARGIN + 128
_SLOPE: Final = np.tile(np.linspace(0.7, -0.7, _WIDE, dtype=np.float32), (_WIDE, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is kept of a detector that was drawn for a smooth slope of 1.4 nepers and a display of 200 grey levels a neper."""

    optics: Optics
    noise_grey: float
    law: float
    memory: tuple[float, ...]
    lag: float
    ramp_frames: int
    ramp_noise: float
    ramp_level: float


def _drawn(seed: int) -> Drawn:
    chain = detector.build(np.random.default_rng(seed), _SLOPE, _SLOPE, 0.3)
    row = slice(MARGIN, -MARGIN)
    seen, sigma = chain.base[_WIDE // 2, row], chain.sigma[_WIDE // 2, row]
    return Drawn(
        optics=chain.optics,
        noise_grey=float(np.median(sigma)) * _SHOWN_PER_NEPER,
        law=2.0 * float(np.polyfit(seen, np.log(sigma), 1)[0]),
        memory=chain.memory,
        lag=chain.lag,
        ramp_frames=chain.ramp_frames,
        ramp_noise=chain.ramp_noise,
        ramp_level=chain.ramp_level,
    )


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    table = np.zeros(_LEVELS, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "_display", lambda *_: (table, -1.0, 1.0, _SHOWN_PER_NEPER))
        patch.setattr(detector, "_pool", lambda _: np.zeros((64, 64), np.float32))
        patch.setattr(shutters, "draw", lambda *_: open_field())
        return [_drawn(seed) for seed in range(_DRAWS)]


def _spans(values: list[float], low: float, high: float, margin: float = 0.05) -> bool:
    """Whether the values lie from `low` to `high` and come within `margin` of the width of both."""
    near = margin * (high - low)
    return low <= min(values) <= low + near and high - near <= max(values) <= high


def test_blur_and_sharpening_span_their_ranges(drawn: list[Drawn]) -> None:
    assert _spans([d.optics.blur_px for d in drawn], 0.0, 2.0)
    assert _spans([d.optics.sharpen for d in drawn], 0.0, 1.3)
    assert 0.25 < share([d.optics.sharpen == 0.0 for d in drawn]) < 0.5
    assert _spans([d.optics.radius_px for d in drawn], 1.2, 8.0)


def test_noise_spans_a_third_to_ten_and_a_half_grey_levels_at_the_middle_of_the_picture(drawn: list[Drawn]) -> None:
    noise = [d.noise_grey for d in drawn]
    assert _spans(noise, 0.3, 10.5)
    assert 1.2 < np.median(noise) < 2.6  # even in its logarithm: half of the pictures have less than 1.8


def test_noise_stays_below_what_would_drown_a_full_injection(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = np.zeros(_LEVELS, np.uint8)
    monkeypatch.setattr(detector, "_display", lambda *_: (flat, -1.0, 1.0, 24.0))
    loudest = [float(np.median(detector.build(np.random.default_rng(s), _SLOPE, _SLOPE, 0.3).sigma)) for s in range(12)]
    assert max(loudest) == pytest.approx(_MOST_NOISE, rel=0.02)


def test_noise_grows_where_less_light_comes_through_by_a_drawn_law(drawn: list[Drawn]) -> None:
    assert _spans([d.law for d in drawn], -0.01, 0.91)


def test_lag_memory_and_ramp_are_drawn_for_some_cines_within_their_ranges(drawn: list[Drawn]) -> None:
    lags = [d.lag for d in drawn if d.lag > 0.0]
    assert 0.25 < len(lags) / _DRAWS < 0.45
    assert _spans(lags, 0.08, 0.35)
    remembers = [d.memory for d in drawn if len(d.memory) > 1]
    assert 0.4 < len(remembers) / _DRAWS < 0.6
    assert _spans([later / now for now, later, _ in remembers], 0.1, 0.6)
    ramps = [d for d in drawn if d.ramp_frames]
    assert 0.25 < len(ramps) / _DRAWS < 0.45
    assert {d.ramp_frames for d in ramps} == set(range(2, 9))
    assert _spans([d.ramp_noise for d in drawn], 0.5, 3.0)
    assert _spans([d.ramp_level for d in drawn], -0.25, 0.5)


def test_glare_takes_three_to_35_percent_of_the_light_and_most_contrast_where_it_is_dark() -> None:
    even, shares = np.zeros((_WIDE, _WIDE), np.float32), []
    for seed in range(_DRAWS):
        clear, seen = detector._glare(np.random.default_rng(seed), even)
        shares.append(1.0 / float(clear[100, 100]) - 1.0)
        assert float(seen[100, 100]) == pytest.approx(-np.log1p(shares[-1]), abs=1e-4)
    assert _spans(shares, 0.0299, 0.3501)
    halves = canvas()
    halves[:, : CANVAS // 2] = 1.5
    clear, _ = detector._glare(np.random.default_rng(1), halves)
    far_dark, dark, bright, far_bright = (
        float(clear[CANVAS // 2, column]) for column in (40, CANVAS // 2 - 10, CANVAS // 2 + 10, CANVAS - 40)
    )
    assert dark < 0.9 * far_dark
    assert bright > far_bright == pytest.approx(far_dark, abs=0.01)


def _gamma_of(curve: Points, unit: Points) -> float | None:
    """The power from 0.4 to 2.5 that `curve` is over 0..1, or None where it is none."""
    gammas = np.exp(np.linspace(np.log(0.4), np.log(2.5), 1500))[:, None]
    powers = ((unit + 0.08) ** gammas - 0.08**gammas) / (1.08**gammas - 0.08**gammas)
    off = np.abs(powers - curve).max(axis=1)
    return float(gammas[off.argmin(), 0]) if off.min() < 1e-3 else None


def test_the_display_curve_is_a_power_of_a_half_to_two_or_any_rising_one() -> None:
    unit = np.linspace(0.0, 1.0, 101)
    curves = [detector._curve(np.random.default_rng(seed), unit) for seed in range(_DRAWS)]
    assert all(curve[0] == pytest.approx(0.0) and curve[-1] == pytest.approx(1.0) for curve in curves)
    assert all((np.diff(curve) > 0.0).all() for curve in curves)
    gammas = [_gamma_of(curve, unit) for curve in curves]
    powers = [g for g in gammas if g is not None]
    assert 0.5 < len(powers) / _DRAWS < 0.7
    assert _spans(powers, 0.499, 2.002)
    others = np.array([curve[50] for curve, gamma in zip(curves, gammas, strict=True) if gamma is None])
    assert others.std() > 0.05


def test_beyond_the_pictures_range_the_display_curve_goes_on_straight() -> None:
    for seed in range(20):
        ends = detector._curve(np.random.default_rng(seed), np.array([-0.5, -0.25, 1.25, 1.5]))
        assert ends == pytest.approx([-0.35, -0.175, 1.175, 1.35])


def _two_tones(seed: int, dark: float, nepers_per_mm: float) -> tuple[NDArray[np.uint8], float, Points]:
    """The display of a picture that is 0 nepers in one half and `dark` in the other: its table, slope and two greys."""
    centre = np.zeros((64, 64), np.float32)
    centre[:32] = dark
    table, darkest, per_neper, slope = detector._display(np.random.default_rng(seed), centre, nepers_per_mm)
    shown = straight_detector(table=table, darkest=darkest, per_neper=per_neper).grey(np.array([0.0, dark]))
    return table, slope, shown


def test_grey_mean_and_spread_span_their_ranges_and_more_attenuation_is_never_brighter() -> None:
    found = [_two_tones(seed, 0.6, 0.27) for seed in range(_DRAWS)]
    assert all((np.diff(table.astype(int)) <= 0).all() for table, _, _ in found)
    means, spreads = [float(tones.mean()) for _, _, tones in found], [float(-np.diff(tones)[0]) / 2 for _, _, tones in found]
    # One level for rounding; the floor and the ceiling of the display may cut up to five from one of the two tones.
    assert _spans(means, 67.0, 163.0, 0.1)
    assert _spans(spreads, 9.0, 83.0, 0.1)
    assert 25.0 < np.median(spreads) < 37.0
    assert all(tones[1] >= 14.0 for _, _, tones in found)


def test_black_lies_at_0_to_20_and_white_at_255_or_up_to_20_below() -> None:
    tables = [_two_tones(seed, 0.6, 0.27)[0] for seed in range(_DRAWS)]
    assert _spans([float(table[-1]) for table in tables if table[-1] == table[-200]], 0.0, 20.0)
    whites = [float(table[0]) for table in tables if table[0] == table[200]]
    assert _spans(whites, 235.0, 255.0)
    assert 0.4 < share([white == 255.0 for white in whites]) < 0.65


@pytest.mark.parametrize(("dark", "nepers_per_mm", "bound"), [(3.0, 0.2, 24.0), (0.3, 0.42, 255.0)])
def test_a_full_vessel_of_3_mm_is_24_to_255_grey_levels_deep(dark: float, nepers_per_mm: float, bound: float) -> None:
    depths = [3.0 * nepers_per_mm * _two_tones(seed, dark, nepers_per_mm)[1] for seed in range(40)]
    assert all(23.9 <= depth <= 255.1 for depth in depths)
    assert sum(depth == pytest.approx(bound) for depth in depths) > 5


def test_the_usual_slope_is_that_of_the_table() -> None:
    for seed in range(20):
        table, slope, _ = _two_tones(seed, 0.6, 0.27)
        middle = table[1024 - 205 : 1024 + 205].astype(float)
        steps = (middle[100:] - middle[:-100]) / 100.0 * -(_LEVELS / 4.0 / 0.6)
        assert float(np.median(steps)) == pytest.approx(slope, rel=0.15)


def _correlation(image: Float, columns: int) -> float:
    return float((image[:, :-columns] * image[:, columns:]).mean() / (image**2).mean())


def test_noise_has_unit_spread_and_a_colour_from_white_to_strong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_POOL", 300)
    near, sinks, spreads = [], [], []
    for seed in range(100):
        pool = detector._pool(np.random.default_rng(seed))
        spreads.append(float(pool.std()))
        near.append(_correlation(pool, 1))
        sinks.append(min(_correlation(pool, columns) for columns in range(2, 9)))
        assert _correlation(np.ascontiguousarray(pool.T), 1) == pytest.approx(near[-1], abs=0.02)
    assert spreads == pytest.approx([1.0] * 100, abs=1e-3)
    assert min(near) < 0.05
    assert max(near) > 0.7
    assert 0.35 < share([one > 0.2 for one in near]) < 0.65
    assert 0.35 < share([one < -0.01 for one in sinks]) < 0.75  # its slow part is taken out of 60 %


def test_the_residue_is_the_share_of_the_noise_that_160_pixels_keep() -> None:
    found = []
    for seed in range(8):
        chain = detector.build(np.random.default_rng(seed), _SLOPE, _SLOPE, 0.3)
        frame = chain.pool[:FRAME, :FRAME]
        found.append(chain.residue)
        assert float(cv2.resize(frame, (160, 160), interpolation=cv2.INTER_AREA).std()) == pytest.approx(found[-1], rel=0.08)
    assert max(found) - min(found) > 0.1
    assert abs(SHRINKS - FRAME / 160) < 1e-9


def _grains(chain: Detector, count: int) -> list[Float]:
    keys = [[np.random.default_rng(abs(n - k)) for k in range(len(chain.memory))] for n in range(10, 10 + count)]
    return [detector.noise(chain, generators) for generators in keys]


def test_noise_with_a_memory_is_like_that_of_the_frames_before_and_keeps_its_spread() -> None:
    first, second, third, fourth = _grains(straight_detector(memory=(0.6, 0.3, 0.1)), 4)
    assert float((first * second).mean()) == pytest.approx(0.21 / 0.46, abs=0.03)
    assert float((first * third).mean()) == pytest.approx(0.06 / 0.46, abs=0.03)
    assert float((first * fourth).mean()) == pytest.approx(0.0, abs=0.03)
    assert float(first.std()) == pytest.approx(1.0, abs=0.03)
    fresh = _grains(straight_detector(), 2)
    assert float((fresh[0] * fresh[1]).mean()) == pytest.approx(0.0, abs=0.03)


def _exposed(chain: Detector, number: int = 50, nepers: float = 0.0) -> Points:
    grain = chain.pool[:FRAME, :FRAME]
    frame = detector.expose(chain, canvas(nepers)[:FRAME, :FRAME], grain, (MARGIN, MARGIN), number)
    return np.asarray(frame, np.float64)


def test_a_frame_is_noisy_by_the_sigma_of_each_place() -> None:
    sigma = canvas(0.02)
    sigma[:, CANVAS // 2 :] = 0.06
    frame = _exposed(straight_detector(sigma=sigma))
    for half, nepers in ((frame[:, : FRAME // 2], 0.02), (frame[:, FRAME // 2 :], 0.06)):
        assert half.std() == pytest.approx(nepers * GREY_PER_NEPER, rel=0.05)
        assert half.mean() == pytest.approx(127.5, abs=1.0)


@pytest.mark.parametrize("level", [0.3, -0.2])
def test_the_ramps_first_frames_are_noisier_and_darker_or_brighter_until_it_ends(level: float) -> None:
    chain = straight_detector(0.03, ramp_frames=4, ramp_noise=2.0, ramp_level=level)
    for number, missing in ((1, 1.0), (2, 0.75), (3, 0.5), (4, 0.25), (5, 0.0)):
        frame = _exposed(chain, number)
        assert frame.mean() == pytest.approx(127.5 - level * missing * GREY_PER_NEPER, abs=1.0)
        assert frame.std() == pytest.approx(0.03 * GREY_PER_NEPER * (1.0 + 2.0 * missing), rel=0.05)
    plain = _exposed(straight_detector(0.03))
    assert np.array_equal(_exposed(chain, 5), plain)
    assert np.array_equal(_exposed(straight_detector(0.03, ramp_noise=2.0, ramp_level=level), 1), plain)


def test_lead_in_the_beam_darkens_by_its_nepers() -> None:
    lead = canvas(0.0)[:FRAME, :FRAME]
    lead[:100] = 0.5
    frame = _exposed(straight_detector(collimation=replace(open_field(), nepers=lead)))
    assert frame[:100].mean() == pytest.approx(127.5 - 0.5 * GREY_PER_NEPER, abs=1.0)
    assert frame[100:].mean() == pytest.approx(127.5, abs=1.0)


def test_blur_widens_an_edge_and_the_unsharp_mask_overshoots_it() -> None:
    edge = np.zeros((64, 64), np.float32)
    edge[:, 32:] = 1.0
    plain = Optics(blur_px=0.0, sharpen=0.0, radius_px=2.0)
    soft, sharp = replace(plain, blur_px=1.5).filter(edge)[32], replace(plain, sharpen=1.0).filter(edge)[32]
    assert np.array_equal(plain.filter(edge), edge)
    slope = np.diff(soft.astype(np.float64))
    assert float(np.sqrt((slope * (np.arange(63) - 31.0) ** 2).sum())) == pytest.approx(1.5, rel=0.05)
    assert 0.3 < float(sharp.max()) - 1.0 < 0.5
    assert float(sharp[-1]) == pytest.approx(1.0, abs=1e-3)


def _plan() -> CinePlan:
    return replace(cohort.draw(21, 0, 0, Kind.CORONARY), frame_rate_hz=15.0, source_rate_hz=15.0, frames=60, jpeg_quality=0)


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Points]]:
    """Renders frames 20 and 21 of a still scene in which a square of 0.5 nepers is at the left, then at the right."""
    built = still_scene(3.0, 0.5)

    def squares(*found: Any) -> Float:
        page = np.zeros((FRAME, FRAME), np.float32)
        page[200:300, slice(100, 200) if found[2] <= 20 else slice(300, 400)] = 1.0
        return page

    monkeypatch.setattr(scene, "build", lambda _: built)
    monkeypatch.setattr(cine, "_strands", squares)
    monkeypatch.setattr(motion, "source_numbers", lambda _: range(1, 61))

    def shown(**changes: Any) -> list[Points]:
        monkeypatch.setattr(cine, "imaging", lambda _: straight_detector(**changes))
        return [127.5 - frame.astype(np.float64) for frame in cine.render(_plan(), [20, 21])]

    return shown


def _depths(frame: Points) -> tuple[float, float]:
    """How much darker the left and the right square are, nepers."""
    return float(frame[220:280, 120:180].mean()) / GREY_PER_NEPER, float(frame[220:280, 320:380].mean()) / GREY_PER_NEPER


def test_lag_mixes_the_frame_before_into_a_frame(patch: Callable[..., list[Points]]) -> None:
    assert [_depths(frame) for frame in patch()] == [pytest.approx((0.5, 0.0), abs=0.01), pytest.approx((0.0, 0.5), abs=0.01)]
    first, second = patch(lag=0.3)
    assert _depths(first) == pytest.approx((0.5, 0.0), abs=0.01)
    assert _depths(second) == pytest.approx((0.15, 0.35), abs=0.01)


def test_glare_thins_the_contrast_of_a_rendered_frame(patch: Callable[..., list[Points]]) -> None:
    assert _depths(patch(clear=canvas(0.7))[0]) == pytest.approx((0.35, 0.0), abs=0.01)


def test_a_rendered_frame_is_blurred_ramped_and_bounded_by_its_detector(patch: Callable[..., list[Points]]) -> None:
    sharp, soft = patch()[0], patch(optics=Optics(blur_px=2.0, sharpen=0.0, radius_px=1.0))[0]
    assert np.abs(np.diff(soft[250, 80:220])).max() < 0.35 * np.abs(np.diff(sharp[250, 80:220])).max()
    assert patch(ramp_frames=30, ramp_level=0.3)[0][400:].mean() == pytest.approx(0.3 * 11 / 30 * GREY_PER_NEPER, abs=1.0)
    shut = replace(open_field(), open=np.zeros((FRAME, FRAME), np.uint8), shade=np.full((FRAME, FRAME), 7, np.uint8))
    assert np.unique(127.5 - patch(collimation=shut)[0]).tolist() == [7.0]
