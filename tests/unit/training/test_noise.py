import cv2
import numpy as np
import pytest

from dicomqc.core.errors import ConfigError
from training import noise
from training.noise import Noise

_SHAPE = (160, 176)


def coloured(
    count: int, *, sigma: float = 4.0, blur_px: float = 0.8, persistence: float = 0.4, moves: bool = False
) -> np.ndarray:
    """Frames of a bright and a dark half under noise of a known kind; `moves` adds a dark thing that crosses the picture."""
    random = np.random.default_rng(5)
    clean = np.full(_SHAPE, 80.0)
    clean[:, _SHAPE[1] // 2 :] = 160.0
    field, frames = np.zeros(_SHAPE), []
    for number in range(count):
        new = cv2.GaussianBlur(random.standard_normal(_SHAPE), (0, 0), blur_px)
        kept = persistence if number else 0.0
        field = kept * field + np.sqrt(1 - kept**2) * new / new.std()
        picture = clean.copy()
        if moves:
            picture[60:84, 30 + 3 * number : 36 + 3 * number] -= 50
        frames.append(picture + sigma * field)
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def neighbours(found: Noise) -> float:
    """The correlation of pixels side by side."""
    covariance = np.fft.ifft2(found.spectrum).real
    return float(covariance[0, 1] / covariance[0, 0])


@pytest.mark.parametrize("moves", [False, True])
def test_level_and_persistence_are_measured_also_where_something_moves(moves: bool) -> None:
    found = noise.measured(coloured(14, moves=moves))
    assert found.levels == pytest.approx(np.full(len(found.levels), 4.0), rel=0.12)
    assert found.persistence == pytest.approx(0.4, abs=0.08)
    assert noise.measured(coloured(14, persistence=0.0)).persistence == pytest.approx(0.0, abs=0.05)
    assert neighbours(noise.measured(coloured(14, blur_px=0.3))) < 0.1 < neighbours(found) - 0.4


def test_fresh_noise_is_like_the_noise_that_was_measured() -> None:
    run = coloured(14)
    found = noise.measured(run)
    flat = np.repeat(np.where(np.arange(_SHAPE[1]) < _SHAPE[1] // 2, 80, 160).astype(np.uint8)[None], _SHAPE[0], 0)
    fresh = noise.added(np.repeat(flat[None], 14, 0), found, np.random.default_rng(6))
    again = noise.measured(fresh)
    assert again.levels == pytest.approx(found.levels, rel=0.08)
    assert again.persistence == pytest.approx(found.persistence, abs=0.06)
    assert neighbours(again) == pytest.approx(neighbours(found), abs=0.05)
    assert abs(np.corrcoef(fresh[3].ravel() - flat.ravel() * 1.0, run[3].ravel() - flat.ravel() * 1.0)[0, 1]) < 0.05


def test_noise_that_grows_with_the_grey_is_added_so() -> None:
    spectrum = np.ones((32, 32))
    found = Noise(greys=np.array([50.0, 200.0]), levels=np.array([1.0, 6.0]), spectrum=spectrum, persistence=0.0)
    for grey, sigma in ((40, 1.0), (125, 3.5), (200, 6.0)):
        frames = noise.added(np.full((3, 64, 72), grey, np.uint8), found, np.random.default_rng(1))
        assert frames.std() == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.05)


def test_a_run_without_noise_gives_none() -> None:
    still = np.full((6, *_SHAPE), 90, np.uint8)
    found = noise.measured(still)
    assert np.array_equal(noise.added(still, found, np.random.default_rng(2)), still)
    assert np.array_equal(noise.calmed(still[0], found), still[0])


def test_a_calmed_frame_has_lost_its_noise_and_kept_its_branches() -> None:
    run = coloured(14, blur_px=0.5)
    run = np.where(np.abs(np.arange(_SHAPE[0]) - 80)[:, None] < 2, run - 25, run).astype(np.uint8)
    calm = noise.calmed(run[0], noise.measured(run)).astype(float)
    patch = (slice(20, 60), slice(20, 70))
    assert calm[patch].std() < 0.5 * run[0][patch].std()
    assert calm[60:72, 20:70].mean() - calm[79:82, 20:70].mean() > 20


def test_too_few_frames_tell_nothing_about_noise() -> None:
    with pytest.raises(ConfigError, match="4 frames, at least 5"):
        noise.measured(np.zeros((4, *_SHAPE), np.uint8))
