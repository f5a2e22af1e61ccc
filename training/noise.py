"""The noise of a run, measured from differences of frames, and fresh noise like it.

Level by grey, correlation in space and correlation in time. What moves counts for little: medians over tiles.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError

Frames = NDArray[np.uint8]
LEAST_FRAMES: Final = 5
_SMOOTH_PX: Final = 5.0  # slower than this is anatomy
_TILE_PX: Final = 64
_GREYS: Final = 5
_PATCH_PX: Final = 8
_MOST_PERSISTENCE: Final = 0.95
# Of the level: as much of non-local means as leaves the finest branches and takes most of the noise.
_CALM: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviations `levels` [K] at mean greys `greys` [K], both in grey levels, ascending in grey.

    `spectrum` [P,P] is the power by spatial frequency as `fft2` orders it, of any scale; `persistence` the correlation with
    the next frame, 0 to 0.95.
    """

    greys: NDArray[np.float64]
    levels: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    persistence: float


def measured(frames: Frames) -> Noise:
    """The noise of consecutive frames uint8 [T,H,W] that show the same, T ≥ 5, without an eighth at each edge.

    In time it is taken as a first-order process: the differences of neighbours and of next neighbours give its persistence.
    Raises ConfigError for too few frames.
    """
    if len(frames) < LEAST_FRAMES:
        raise ConfigError(f"noise: {len(frames)} frames, at least {LEAST_FRAMES} needed")
    inside = interior(frames).astype(np.float32)
    rest = np.stack([frame - cv2.GaussianBlur(frame, (0, 0), _SMOOTH_PX) for frame in inside])
    near, far = rest[1:] - rest[:-1], rest[2:] - rest[:-2]
    power_near, power_far = _patches(near**2), _patches(far**2)
    ratio = np.divide(power_far, power_near, out=np.ones_like(power_near), where=power_near > 0.0)
    persistence = float(np.clip(np.median(ratio) - 1.0, 0.0, _MOST_PERSISTENCE))
    grey = _patches(inside)
    # By rank, so that a picture of one grey has full bins too.
    bins = np.array_split(np.argsort(grey, kind="stable"), _GREYS)
    variances = np.array([np.median(power_near[part]) for part in bins]) / (2.0 * (1.0 - persistence))
    return Noise(
        greys=np.array([np.median(grey[part]) for part in bins]),
        levels=np.sqrt(variances),
        spectrum=_spectrum(near),
        persistence=persistence,
    )


def added(clean: Frames, noise: Noise, rng: np.random.Generator) -> Frames:
    """Frames uint8 [T,H,W], which should have no noise of their own, with fresh noise; H and W at least the spectrum's."""
    shape = clean.shape[1:]
    amplitude = _amplitude(noise.spectrum, shape)
    out, field = np.empty_like(clean), np.zeros(shape)
    for number, (frame, target) in enumerate(zip(clean, out, strict=True)):
        new = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
        kept = noise.persistence if number else 0.0
        field = kept * field + np.sqrt(1.0 - kept**2) * new
        level = np.interp(cv2.GaussianBlur(frame, (0, 0), 1.0), noise.greys, noise.levels)
        target[:] = np.clip(np.rint(frame + level * field), 0, 255)
    return out


def calmed(frame: Frames, noise: Noise) -> Frames:
    """One frame uint8 [H,W] without its own noise (non-local means), so that fresh noise is not there twice."""
    level = float(np.median(noise.levels))
    return frame if level == 0.0 else np.asarray(cv2.fastNlMeansDenoising(frame, None, _CALM * level, 5, 15), dtype=np.uint8)


def interior(frames: Frames) -> Frames:
    """The middle of frames [T,H,W], without an eighth at each edge: without most shutters and marks."""
    high, wide = frames.shape[1] // 8, frames.shape[2] // 8
    return frames[:, high : frames.shape[1] - high, wide : frames.shape[2] - wide]


def _patches(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Means over time and over squares of 8 px of [T,H,W], in one row."""
    rows, columns = (side // _PATCH_PX for side in values.shape[1:])
    whole = values[:, : rows * _PATCH_PX, : columns * _PATCH_PX]
    parts = whole.reshape(len(values), rows, _PATCH_PX, columns, _PATCH_PX)
    return np.asarray(parts.mean(axis=(0, 2, 4), dtype=np.float64)).ravel()


def _spectrum(differences: NDArray[np.float32]) -> NDArray[np.float64]:
    """The median over tiles: few of them hold an edge that moved."""
    side = min(_TILE_PX, *differences.shape[1:])
    window = np.outer(np.hanning(side), np.hanning(side))
    tiles = [
        frame[top : top + side, left : left + side]
        for frame in differences
        for top in range(0, frame.shape[0] - side + 1, side)
        for left in range(0, frame.shape[1] - side + 1, side)
    ]
    powers = [np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2 for tile in tiles]
    return np.asarray(np.median(powers, axis=0), dtype=np.float64)


def _amplitude(spectrum: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Square root of the power on the grid of `shape` as `rfft2` orders it, of unit variance: by way of the autocovariance."""
    covariance = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    side = len(spectrum)
    lags = np.arange(side) - side // 2
    padded = np.zeros(shape)
    padded[np.ix_(lags % shape[0], lags % shape[1])] = covariance
    power = np.fft.fft2(padded).real.clip(min=0.0)
    mean = float(power.mean())
    # Frames without any noise have no spectrum; their level is 0 as well.
    whole = np.sqrt(power / mean) if mean > 0.0 else np.ones(shape)
    return np.asarray(whole[:, : shape[1] // 2 + 1])
