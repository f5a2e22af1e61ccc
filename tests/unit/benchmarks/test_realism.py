"""What the bench of the simulator's realism measures, on drawn lines and patterns of known width, blur and way."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from tests.benchmarks.bench_phantom_realism import noise
from tests.benchmarks.realism_angiogram import GAP, calibres, catheter, catheter_edges, fresh, front, moved, origin, speeds
from tests.benchmarks.realism_lines import Float, lines, parts, ridges, width_and_depth

SUPER = 8
GREY = 150.0
Course = Sequence[tuple[float, float]]


def drawn(courses: Sequence[tuple[Course, float]], blur: float, depth: float = 40.0, size: int = 256) -> Float:
    """Dark lines through points (column, row) of a width in pixels, soft by `blur`, on even grey."""
    page = np.zeros((size * SUPER, size * SUPER), np.uint8)
    for points, width in courses:
        knots = np.round((np.array(points) + 0.5) * SUPER).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(page, [knots], False, 255, round(width * SUPER))
    share = cv2.resize(page, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    soft: Float = GREY - depth * cv2.GaussianBlur(share, (0, 0), blur)
    return soft


def grained(picture: Float, seed: int, level: float = 2.0) -> Float:
    return (picture + np.random.default_rng(seed).normal(0, level, picture.shape)).astype(np.float32)


@pytest.mark.parametrize("width", [4.0, 7.0, 11.0])
def test_a_line_has_its_width_and_depth(width: float) -> None:
    picture = grained(drawn([([(20, 30), (230, 200)], width)], 1.2), 1)
    line = max(lines(ridges(picture, 1.5, 9.0), 8, 8), key=len)
    across, _ = parts(picture, line, 12.0, 16)
    found = np.median([width_and_depth(profile) for profile in across], axis=0)
    # Blur takes a little depth from the thinnest, so that it is wider at half of what is left.
    assert found[0] == pytest.approx(width, abs=0.6)
    assert found[1] == pytest.approx(40.0, rel=0.25)


def test_an_edge_is_no_line() -> None:
    step = np.full((256, 256), GREY, np.float32)
    step[:, 128:] -= 60.0
    assert not [line for line in lines(ridges(cv2.GaussianBlur(step, (0, 0), 2.0), 1.8, 9.0), 8, 8) if len(line) > 30]


@pytest.mark.parametrize("blur", [1.0, 1.5, 2.0])
def test_a_catheter_has_the_edge_spread_of_its_blur(blur: float) -> None:
    """From 10 to 90 % of an edge that is soft by a Gaussian it takes 2.56 of its sigmas."""
    picture = grained(drawn([([(60, 0), (90, 90), (150, 150)], 10.0), ([(0, 240), (255, 236)], 2.0)], blur), 2, 1.0)
    course = catheter(picture, np.array([155, 155], np.float32), 1.0)
    assert course is not None
    assert np.abs(course - (150, 150)).sum(1).min() < 15.0
    (spread,) = catheter_edges(picture, course, 1.0).values()
    assert spread == pytest.approx(2.563 * blur, rel=0.15)


@pytest.mark.parametrize("frames", [5, 13, 40])
def test_noise_without_memory_has_none_in_a_short_run_either(frames: int) -> None:
    found = noise(np.stack([grained(drawn([], 1.0, size=128), frame) for frame in range(frames)]))
    assert [found[f"noise correlation after {lag} frame"] for lag in (1, 2)] == pytest.approx([0.0, 0.0], abs=0.03)


def test_a_picture_without_a_line_has_no_catheter() -> None:
    assert catheter(np.full((256, 256), GREY, np.float32), np.zeros(2, np.float32), 1.0) is None
    assert np.isnan(next(iter(catheter_edges(np.zeros((9, 9), np.float32), None, 1.0).values())))


def test_three_calibres_are_told_apart() -> None:
    plain = grained(drawn([], 1.0), 3)
    vessels: list[tuple[Course, float]] = [
        ([(30, 60), (226, 60)], 4.0),
        ([(30, 130), (226, 130)], 7.0),
        ([(30, 200), (226, 200)], 11.0),
    ]
    filled = np.stack([grained(drawn(vessels, 1.0), 4 + frame) for frame in range(4)])
    found = calibres(filled, fresh(plain[None], filled, 1.0), 1.0)
    widths = [found[f"vessel width, {name} third"] for name in ("narrowest", "middle", "widest")]
    assert widths == pytest.approx([4.0, 7.0, 11.0], abs=0.8)
    assert all(30.0 < found[f"vessel contrast, {name} third"] < 50.0 for name in ("narrowest", "middle", "widest"))


@pytest.mark.parametrize("way", [(0.0, 0.0), (5.0, -3.0), (7.5, 2.25)])
def test_a_pattern_went_as_far_as_it_was_shifted(way: tuple[float, float]) -> None:
    here = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 50, (128, 128)).astype(np.float32), (0, 0), 2.0)
    there = cv2.warpAffine(here, np.array([[1.0, 0.0, way[0]], [0.0, 1.0, way[1]]]), (128, 128), flags=cv2.INTER_CUBIC)
    assert moved(here, there, (64, 64), 14, 20) == pytest.approx(way, abs=0.3)


def test_vessels_that_move_have_their_speed() -> None:
    plain = grained(drawn([], 1.0), 6, 0.5)
    tree = [(60.0, 60.0), (120.0, 90.0), (90.0, 150.0), (170.0, 170.0)]
    steps = [[(x + 6.0 * frame, y + 4.0 * frame) for x, y in tree] for frame in range(5)]
    filled = np.stack([grained(drawn([(points, 5.0)], 1.0), 7, 0.5) for points in steps])
    found = speeds(filled, fresh(plain[None], filled, 1.0), 1.0)
    assert len(found) >= 5
    assert np.median(found) == pytest.approx(np.hypot(6.0, 4.0) / GAP, abs=0.3)


def test_the_front_of_contrast_has_its_speed() -> None:
    plain = drawn([], 1.0)
    reach = [0.0, *(20.0 * frame for frame in range(1, 11))]
    filled = np.stack([drawn([([(20, 128), (20 + way, 128)], 6.0)] if way else [], 1.0) for way in reach])
    contrast = fresh(plain[None], filled, 1.0)
    spot, first = origin(contrast)
    assert first == 1
    assert abs(spot[1] - 128) < 2.0
    # The 90th percentile of a line that grows by 20 px goes on by 18 px.
    assert front(contrast, 1.0) == pytest.approx(18.0 / GAP, rel=0.15)
