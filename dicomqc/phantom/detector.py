"""From attenuation to grey: glare, blur, sharpening, noise, display curve and exposure ramp, drawn once per cine.

All of it up to the display curve is linear in nepers, so still layers are filtered once and a frame filters what moves.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import shutters
from dicomqc.phantom.projection import FRAME, MARGIN, Float, Points
from dicomqc.phantom.shutters import Collimation

_POOL: Final = 832
SHRINKS: Final = 3.2  # from a frame's 512 pixels to the 160 at which a clip is judged
LEAST_SHARPENED: Final = 0.05  # less is none
_LEVELS: Final = 2048
_SPAN: Final = (-1.5, 2.5)  # of the display table, in units of the scene's own range
_MOST_NOISE: Final = 0.09  # nepers; above it even full injections would be lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """`blur_px` of the detector, then an unsharp mask of `sharpen` at `radius_px`."""

    blur_px: float
    sharpen: float
    radius_px: float

    def filter(self, image: Float) -> Float:
        """`image` as the detector and the processing leave it."""
        soft = cv2.GaussianBlur(image, (0, 0), self.blur_px) if self.blur_px > 0.3 else image
        if self.sharpen < LEAST_SHARPENED:
            return np.asarray(soft, dtype=np.float32)
        halo = cv2.GaussianBlur(soft, (0, 0), self.radius_px)
        return np.asarray(cv2.addWeighted(soft, 1.0 + self.sharpen, halo, -self.sharpen, 0.0), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One cine's imaging chain.

    `base` [CANVAS,CANVAS] is the filtered still picture in nepers, `clear` [CANVAS,CANVAS] what share of further attenuation
    glare leaves; `table` maps (nepers - `darkest`) * `per_neper` to grey; `pool` is noise [_POOL,_POOL] to be scaled by
    `sigma` [CANVAS,CANVAS] nepers; `memory` are the weights of this and earlier frames' noise, `lag` that of
    their contrast; `residue` is the share of the noise that is left at the size at which a clip is judged.
    """

    optics: Optics
    base: Float
    clear: Float
    table: NDArray[np.uint8]
    darkest: float
    per_neper: float
    pool: Float
    sigma: Float
    memory: tuple[float, ...]
    lag: float
    collimation: Collimation
    residue: float
    ramp_frames: int
    ramp_noise: float
    ramp_level: float

    def grey(self, nepers: Points) -> Points:
        """Display grey of attenuation in nepers, any shape, without noise or collimation."""
        index = np.clip((nepers - self.darkest) * self.per_neper, 0, _LEVELS - 1).astype(np.int64)
        return self.table[index].astype(np.float64)


def build(rng: np.random.Generator, still: Float, rest: Float, nepers_per_mm: float) -> Detector:
    """Draw a detector for `still` and all that is seen `rest` at rest without contrast, [CANVAS,CANVAS] nepers.

    Its window follows the picture, as automatic exposure does.
    """
    clear, seen = _glare(rng, rest)
    optics = Optics(
        blur_px=rng.uniform(0.0, 2.0),
        sharpen=max(float(rng.uniform(-0.8, 1.3)), 0.0),
        radius_px=float(np.exp(rng.uniform(np.log(1.2), np.log(8.0)))),
    )
    base = optics.filter(seen - clear * (rest - still))
    centre = seen[MARGIN:-MARGIN:4, MARGIN:-MARGIN:4]
    table, darkest, per_neper, gain = _display(rng, centre, nepers_per_mm)
    pool = _pool(rng)
    law = rng.uniform(0.0, 0.9)
    shape = np.clip(np.exp(law * 0.5 * (seen - float(np.median(centre)))), 0.45, 2.4)
    residual = float(np.exp(rng.uniform(np.log(0.3), np.log(10.5))))
    sigma = min(residual / gain, _MOST_NOISE)
    keep = rng.uniform(0.1, 0.6)
    memory = (1.0,) if rng.random() < 0.5 else tuple(float(v) for v in np.array([1.0, keep, keep**2]) / (1 + keep + keep**2))
    lags, lag, ramps = rng.random() < 0.35, rng.uniform(0.08, 0.35), rng.random() < 0.35
    return Detector(
        optics=optics,
        base=base,
        clear=clear,
        table=table,
        darkest=darkest,
        per_neper=per_neper,
        pool=pool,
        sigma=np.asarray(shape * np.float32(sigma), dtype=np.float32),
        memory=memory,
        lag=lag if lags else 0.0,
        collimation=shutters.draw(rng, optics.filter),
        residue=float(cv2.resize(pool, None, fx=1 / SHRINKS, fy=1 / SHRINKS, interpolation=cv2.INTER_AREA).std()),
        ramp_frames=int(rng.integers(2, 9)) if ramps else 0,
        ramp_noise=rng.uniform(0.5, 3.0),
        ramp_level=rng.uniform(-0.25, 0.5),
    )


def _glare(rng: np.random.Generator, rest: Float) -> tuple[Float, Float]:
    """Veiling glare: a share of the light, spread widely, lies over everything and takes contrast where it is dark."""
    share = rng.uniform(0.03, 0.35)
    small = cv2.resize(rest, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    light = np.exp(-small)
    veil = share * cv2.GaussianBlur(light, (0, 0), rng.uniform(12.0, 30.0))
    size = (rest.shape[1], rest.shape[0])
    clear = cv2.resize(light / (light + veil), size, interpolation=cv2.INTER_LINEAR)
    darkening = cv2.resize(np.log1p(veil / light), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(clear, dtype=np.float32), np.asarray(rest - darkening, dtype=np.float32)


def _curve(rng: np.random.Generator, unit: Points) -> Points:
    """A monotone curve over the picture's own range: a power of 0.5 to 2, or a random one."""
    if rng.random() < 0.6:
        gamma = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
        inside = ((np.clip(unit, 0.0, 1.0) + 0.08) ** gamma - 0.08**gamma) / (1.08**gamma - 0.08**gamma)
    else:
        knots = np.concatenate([[0.0], np.cumsum(np.exp(rng.normal(0.0, 0.45, 5)))])
        inside = np.interp(np.clip(unit, 0.0, 1.0), np.linspace(0.0, 1.0, 6), knots / knots[-1])
    # Outside of the range it goes on straight, so that deep contrast and open lung keep some difference.
    return np.asarray(inside + 0.7 * (np.minimum(unit, 0.0) + np.maximum(unit - 1.0, 0.0)), dtype=np.float64)


def _display(rng: np.random.Generator, centre: Float, nepers_per_mm: float) -> tuple[NDArray[np.uint8], float, float, float]:
    """The table from nepers to grey, its darkest end and scale, and its usual slope in grey per neper.

    Mean and spread of the grey levels are drawn, but a full 3 mm vessel keeps between 24 and 255 grey levels of 255.
    """
    low, high = (float(v) for v in np.percentile(centre, [1.0, 99.0]))
    span = max(high - low, 0.3)
    mean, spread = rng.uniform(70.0, 160.0), float(np.exp(rng.uniform(np.log(12.0), np.log(80.0))))
    unit = np.linspace(*_SPAN, _LEVELS)
    curve = _curve(rng, 1.0 - unit)
    shown = np.interp((centre.ravel() - low) / span, unit, curve)
    slope = float(np.median(np.abs(np.diff(curve))[np.abs(unit[1:] - 0.5) < 0.4])) * _LEVELS / (_SPAN[1] - _SPAN[0]) / span
    gain = spread / max(float(shown.std()), 0.03)
    vessel = 3.0 * nepers_per_mm * slope
    gain = float(np.clip(gain, 24.0 / vessel, 255.0 / vessel))
    floor, ceiling = rng.uniform(0.0, 20.0), float(rng.choice([255.0, rng.uniform(235.0, 255.0)]))
    # Exposure control keeps the dark parts of the chest off black; open lung may well be white.
    dark = mean + gain * float(np.percentile(shown, 3.0) - shown.mean())
    mean += max(rng.uniform(15.0, 70.0) - dark, 0.0)
    grey = np.clip(mean + gain * (curve - float(shown.mean())), floor, ceiling)
    per_neper = (_LEVELS - 1) / (_SPAN[1] - _SPAN[0]) / span
    return np.round(grey).astype(np.uint8), low + _SPAN[0] * span, per_neper, gain * slope


def _pool(rng: np.random.Generator) -> Float:
    """Noise of unit spread, white to strongly coloured, with or without its slow part."""
    pool = rng.standard_normal((_POOL, _POOL), dtype=np.float32)
    fine = rng.uniform(0.0, 1.1)
    if fine > 0.3:
        pool = cv2.GaussianBlur(pool, (0, 0), fine)
    if rng.random() < 0.6:
        pool = pool - np.float32(rng.uniform(0.1, 0.9)) * cv2.GaussianBlur(pool, (0, 0), fine + rng.uniform(0.8, 4.0))
    return np.asarray(pool / pool.std(), dtype=np.float32)


def noise(detector: Detector, generators: list[np.random.Generator]) -> Float:
    """One frame's noise of unit spread [FRAME,FRAME] from its own and the earlier frames' random numbers, newest first."""
    total = np.zeros((FRAME, FRAME), np.float32)
    power = 0.0
    for weight, rng in zip(detector.memory, generators, strict=True):
        row, column = (int(v) for v in rng.integers(0, _POOL - FRAME, 2))
        part = detector.pool[row : row + FRAME, column : column + FRAME]
        flipped = part[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]
        if len(detector.memory) == 1:
            return flipped
        total = cv2.scaleAdd(np.ascontiguousarray(flipped), weight, total)
        power += weight**2
    return np.asarray(total / np.float32(np.sqrt(power)), dtype=np.float32)


def expose(detector: Detector, nepers: Float, grain: Float, origin: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """One frame of attenuation [FRAME,FRAME] in nepers to display grey; `origin` is the crop's row and column in the canvas.

    `number` counts the source's frames from 1: the first ones may be noisy and of another brightness.
    """
    missing = max(0.0, 1.0 - (number - 1) / detector.ramp_frames) if detector.ramp_frames else 0.0
    row, column = origin
    sigma = detector.sigma[row : row + FRAME, column : column + FRAME]
    total = cv2.add(nepers, cv2.multiply(np.ascontiguousarray(grain), sigma, scale=1.0 + detector.ramp_noise * missing))
    total = cv2.add(total, detector.collimation.nepers) if detector.collimation.nepers is not None else total
    offset = (detector.ramp_level * missing - detector.darkest) * detector.per_neper
    index = cv2.addWeighted(total, detector.per_neper, total, 0.0, offset, dtype=cv2.CV_16S)
    toned = np.take(detector.table, index, mode="clip")
    return np.asarray(shutters.close(detector.collimation, toned), dtype=np.uint8)
