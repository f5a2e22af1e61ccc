"""Clips made of one real run: negatives of its frames before contrast, positives made alike of its contrast frames.

Pure functions of a uint8 cine in display grey and a seed; nothing is read or written. Only for checking weights: no clip of
these trains or chooses anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome
from dicomqc.sample.display import resize
from dicomqc.sample.spec import FrameSpec
from training import noise as noises
from training.noise import Frames, Noise

LEAST_FRAMES: Final = 60
COUNT: Final = 20
MOST_SHIFT: Final = 8
THE_RUN: Final = "the run itself"
FILLED_LOOPED: Final = "contrast frames to and fro"
FILLED_MOVED: Final = "one contrast frame, moving"
BARE_LOOPED: Final = "frames before contrast to and fro"
BARE_MOVED: Final = "one frame before contrast, moving"
GREY: Final = "constant grey"
GREY_NOISY: Final = "constant grey, the run's noise"
WHITE_NOISE: Final = "white noise"
ALIKE: Final = {BARE_LOOPED: FILLED_LOOPED, BARE_MOVED: FILLED_MOVED}  # featureless ones have the run itself beside them
_WHITE_SIGMA: Final = 40.0
_SIDE: Final = 256  # pixels at which filling is measured
_VESSEL_PX: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A cine uint8 [T,H,W], what it is, and what must be said of it."""

    kind: str
    wanted: Outcome
    cine: Frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A mild change of a cine: pixels and angles at its own size, but `blur_px` at 512 rows; `crop` at each edge, as a share.

    `noise` is a standard deviation in grey levels, `shift` moves the first sampled frame, `seed` draws the noise.
    """

    gamma: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0
    crop: float = 0.0
    rotate_deg: float = 0.0
    shift: int = 0
    seed: int = 0

    def __str__(self) -> str:
        """What it changes, for people."""
        changed = [name for name in self.__slots__ if name != "seed" and getattr(self, name) != getattr(_PLAIN, name)]
        changes = [f"{name.partition('_')[0]} {getattr(self, name):.2g}" for name in changed]
        return ", ".join(changes) or "unchanged"


_PLAIN: Final = Variant()
_SEEDS_APART: Final = 100  # so that no two draws share a variant's noise
_SINGLE: Final = (
    _PLAIN,
    *(Variant(gamma=value) for value in (0.75, 1.33)),
    *(Variant(blur_px=value) for value in (0.8, 1.5)),
    *(Variant(noise=value) for value in (2.0, 4.0)),
    *(Variant(crop=value) for value in (0.04, 0.08)),
    *(Variant(rotate_deg=value) for value in (-5.0, 5.0)),
)


def clips(cine: Frames, *, contrast_from: int, seed: int) -> Iterator[Clip]:
    """The positives and negatives of a run uint8 [T,H,W] whose 1-based frame `contrast_from` may be the first with contrast.

    Made cines have at least 60 frames, and not fewer than the run. Motion and noise are the same in both labels. Raises
    ConfigError where too few frames lie before or after the arrival of contrast.
    """
    before = cine[: max(contrast_from - 1, 0)]
    if len(before) < noises.LEAST_FRAMES or len(cine) - len(before) < noises.LEAST_FRAMES:
        raise ConfigError(
            f"carry-over: at least {noises.LEAST_FRAMES} frames before contrast and as many with it are needed; "
            f"the run has {len(before)} and {len(cine) - len(before)}"
        )
    return _made(cine, before, contrast_from, seed)


def _made(cine: Frames, before: Frames, contrast_from: int, seed: int) -> Iterator[Clip]:
    count, noise = max(len(cine), LEAST_FRAMES), noises.measured(before)
    block, filled = well_filled(cine, contrast_from)
    yield Clip(kind=THE_RUN, wanted=Outcome.SATISFACTORY, cine=cine)
    yield Clip(kind=FILLED_LOOPED, wanted=Outcome.SATISFACTORY, cine=to_and_fro(block, count))
    yield Clip(kind=FILLED_MOVED, wanted=Outcome.SATISFACTORY, cine=moving(filled, count, noise, seed))
    yield Clip(kind=BARE_LOOPED, wanted=Outcome.UNSATISFACTORY, cine=to_and_fro(before, count))
    bare = before[len(before) // 2]
    yield Clip(kind=BARE_MOVED, wanted=Outcome.UNSATISFACTORY, cine=moving(bare, count, noise, seed))
    grey = np.full((count, *cine.shape[1:]), round(float(noises.interior(before).mean())), np.uint8)
    yield Clip(kind=GREY, wanted=Outcome.UNSATISFACTORY, cine=grey)
    noisy = noises.added(grey, noise, np.random.default_rng([seed, 1]))
    yield Clip(kind=GREY_NOISY, wanted=Outcome.UNSATISFACTORY, cine=noisy)
    yield Clip(kind=WHITE_NOISE, wanted=Outcome.UNSATISFACTORY, cine=_noisy(grey, _WHITE_SIGMA, seed))


def well_filled(cine: Frames, contrast_from: int) -> tuple[Frames, Frames]:
    """The best filled block of consecutive frames from `contrast_from` on, as long as what lies before; and its best frame."""
    with_contrast = cine[contrast_from - 1 :]
    length = min(contrast_from - 1, len(with_contrast))
    amounts = filling(with_contrast)
    start = int(np.argmax(np.convolve(amounts, np.ones(length), "valid")))
    block = with_contrast[start : start + length]
    return block, block[int(np.argmax(amounts[start : start + length]))]


def filling(cine: Frames) -> NDArray[np.float64]:
    """How much darker than their surroundings thin things are in the middle of each frame [T], in mean grey levels."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_VESSEL_PX, _VESSEL_PX))
    small = noises.interior(resize(cine, _SIDE))
    hats = [cv2.morphologyEx(cv2.GaussianBlur(f, (0, 0), 1.0), cv2.MORPH_BLACKHAT, kernel).mean() for f in small]
    return np.array(hats, dtype=np.float64)


def to_and_fro(block: Frames, count: int) -> Frames:
    """`count` frames of a block [T,H,W], played forwards and backwards without holding its ends."""
    return block[_mirrored(np.arange(count), len(block))]


def moving(frame: Frames, count: int, noise: Noise, seed: int) -> Frames:
    """`count` frames of one [H,W] that moves as a rigid thing, with heart and breath, under fresh noise like the run's.

    At 512 rows the heart moves it by up to 4 px and 1°, the breath by up to 6 px and 1°, at 15 fps. The seed decides both.
    """
    rng = np.random.default_rng([seed, 2])
    still = noises.calmed(frame, noise)
    height, width = frame.shape
    matrices = _rigid(count, rng) * np.array([[1.0, 1.0, height / 512], [1.0, 1.0, height / 512]])
    clean = np.stack([_warped(still, matrix, (width, height)) for matrix in matrices])
    return noises.added(clean, noise, rng)


def _rigid(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation about the middle and shift, [count,2,3], by beats of 60 to 90 a minute and breaths of 12 to 18."""
    seconds = np.arange(count) / 15.0
    beat = 2 * np.pi * (seconds * rng.uniform(1.0, 1.5) + rng.random())
    heart = heartbeat(beat)
    breath = np.sin(2 * np.pi * (seconds * rng.uniform(0.2, 0.3) + rng.random()))
    way = rng.uniform(0.0, 2 * np.pi)
    reach, depth = rng.uniform(2.5, 4.0), rng.uniform(3.5, 6.0)
    turn = np.radians(rng.uniform(0.5, 1.0) * heart + rng.uniform(0.5, 1.0) * breath)
    right, down = reach * np.cos(way) * heart, reach * np.sin(way) * heart + depth * breath
    rows = (np.cos(turn), -np.sin(turn), right), (np.sin(turn), np.cos(turn), down)
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def heartbeat(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a beat has moved the heart at `phase` in radians, about −1 to 1: quick in systole and slow in diastole."""
    return np.asarray((np.sin(phase) + 0.35 * np.sin(2 * phase)) / 1.2, dtype=np.float64)


def variants(spec: FrameSpec, frames: int, contrast_from: int, seed: int) -> tuple[Variant, ...]:
    """20 of them: unchanged, each change at its mild ends, and mixtures of all.

    The start moves by at most 8 frames, and so that the run of `frames` reaches to its end and at least half of the frames
    sampled come from `contrast_from` or later.
    """
    numbers = np.array(spec.frame_numbers())
    half = int(np.sort(numbers)[(len(numbers) - 1) // 2])
    early = max(min(half - contrast_from, MOST_SHIFT, spec.first - 1), 0)
    late = max(min(frames - spec.last_frame, MOST_SHIFT), 0)
    ends = tuple(Variant(shift=shift) for shift in (-early, late))
    rng = np.random.default_rng([seed, 3])
    mixed = [
        Variant(
            gamma=float(np.exp(rng.uniform(-0.22, 0.22))),
            blur_px=float(rng.uniform(0.0, 1.0)),
            noise=float(rng.uniform(0.0, 3.0)),
            crop=float(rng.uniform(0.0, 0.06)),
            rotate_deg=float(rng.uniform(-5.0, 5.0)),
            shift=int(rng.integers(-early, late + 1)),
            seed=_SEEDS_APART * seed + number,
        )
        for number in range(COUNT - len(_SINGLE) - len(ends))
    ]
    return *(replace(one, seed=_SEEDS_APART * seed + COUNT) if one.noise else one for one in _SINGLE), *ends, *mixed


def sampled(cine: Frames, variant: Variant, spec: FrameSpec) -> Frames:
    """What the node would sample of a cine [T,H,W] changed by `variant`: uint8 [K,S,S], by its frame numbers and its resize."""
    wanted = np.array(spec.frame_numbers()) - 1 + variant.shift
    frames = cine[_mirrored(wanted, len(cine))]
    if variant.rotate_deg or variant.crop:
        frames = _turned(frames, variant.rotate_deg, variant.crop)
    if variant.blur_px:
        sigma = variant.blur_px * cine.shape[1] / 512
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
    if variant.gamma != 1.0:
        table = np.rint(255.0 * (np.arange(256) / 255.0) ** variant.gamma).astype(np.uint8)
        frames = table[frames]
    if variant.noise:
        frames = _noisy(frames, variant.noise, variant.seed)
    return resize(frames, spec.size)


def _turned(frames: Frames, rotate_deg: float, crop: float) -> Frames:
    """Rotated about the middle and enlarged, so that `crop` of every side is lost."""
    height, width = frames.shape[1:]
    turn, scale = np.radians(rotate_deg), 1.0 / (1.0 - 2.0 * crop)
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    return np.stack([_warped(f, np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]]), (width, height)) for f in frames])


def _warped(frame: Frames, about_middle: NDArray[np.float64], size: tuple[int, int]) -> Frames:
    """An affine map about the middle of the frame; beyond the edge its pixels are repeated."""
    middle = (np.array(size) - 1) / 2.0
    matrix = about_middle.copy()
    matrix[:, 2] += middle - matrix[:, :2] @ middle
    return np.asarray(cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _noisy(frames: Frames, sigma: float, seed: int) -> Frames:
    values = np.random.default_rng([seed, 4]).standard_normal(frames.shape, dtype=np.float32)
    return np.clip(np.rint(frames + sigma * values), 0, 255).astype(np.uint8)


def _mirrored(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places 0 to count − 1 for any whole numbers, reflected at both ends."""
    if count == 1:
        return np.zeros_like(numbers)
    folded = np.mod(numbers, 2 * (count - 1))
    return np.where(folded < count, folded, 2 * (count - 1) - folded)
