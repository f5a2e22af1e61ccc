"""The label of a cine by what can be seen of the native tree in the sampled frames, not by what was meant.

A point of the tree above 1 mm is visible where it lies in the field, no implant covers it, and its contrast after display is
at least three times the noise there, both at a model's 160 pixels. Satisfactory: 60 % of the tree in 5 of the 16 frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from dicomqc.phantom import cine, motion, scene
from dicomqc.phantom.detector import LEAST_SHARPENED, SHRINKS, Detector, Optics
from dicomqc.phantom.plan import LAST_SAMPLED_FRAME, NATIVE, CinePlan
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, Float, Points
from dicomqc.phantom.scene import Scene

SAMPLED: Final = tuple(range(16, LAST_SAMPLED_FRAME, 2))
ENOUGH: Final = 0.6
FRAMES: Final = 5
GRADED: Final = (0.45, 0.75)
_CONTRAST_TO_NOISE: Final = 3.0
_WIDTH_OF_SIGMA: Final = 2.355  # of a Gaussian at half its height
_ROUNDING: Final = 0.5  # grey levels; even a picture without noise shows no smaller step
_TOO_LITTLE: Final = "obscured: too little of the tree is visible in the sampled frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """`window`: the share of the tree that is visible in the fifth best sampled frame; `run`: the same of all the run's frames.

    `shares` are those of the sampled frames one by one, none where the kind decides alone. `native`: whether the kind lets the
    label depend on them; `meant`: the reason that goes with the kind.
    """

    window: float
    run: float
    native: bool
    meant: str
    shares: tuple[float, ...] = ()

    @property
    def satisfactory(self) -> bool:
        """The label."""
        return self.native and self.window >= ENOUGH

    @property
    def graded(self) -> bool:
        """Whether the cine is near the threshold, where readers would not agree either."""
        return self.native and GRADED[0] <= self.window < GRADED[1]

    @property
    def reason(self) -> str:
        """Why the cine is unsatisfactory; empty where it is not."""
        return "" if self.satisfactory else self.meant or _TOO_LITTLE


def judge(plan: CinePlan) -> Sight:
    """What can be seen in `plan`'s frames; draws the scene, but no frame."""
    native = plan.kind in NATIVE
    if not native:
        return Sight(window=0.0, run=0.0, native=False, meant=plan.reason)
    window = visible(plan, [n for n in SAMPLED if n <= plan.frames])
    run = visible(plan, range(2, plan.frames + 1, 2))
    shares = tuple(round(float(share), 4) for share in window)
    return Sight(window=best(window), run=best(run), native=True, meant=plan.reason, shares=shares)


def best(shares: Points) -> float:
    """The share that is reached in FRAMES of the frames whose `shares` [T] are given."""
    return round(float(np.sort(shares)[-FRAMES]), 4) if len(shares) >= FRAMES else 0.0


def visible(plan: CinePlan, numbers: Sequence[int]) -> Points:
    """The share of the native tree above 1 mm that is visible in each of the 1-based frames `numbers`, [T]."""
    built, chain = scene.build(plan), cine.imaging(plan)
    if not len(built.native.points):
        return np.zeros(len(numbers))
    heart = cv2.resize(built.heart, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    ground = np.asarray(chain.base + chain.clear * (built.diaphragm + heart), dtype=np.float32)
    shows = motion.source_numbers(plan)
    sharp = _kept(built.native.depth / plan.mm_per_pixel, chain.optics)
    lossy = (100 - plan.jpeg_quality) / 80.0 if plan.jpeg_quality else 0.0
    return np.array([_share(plan, built, chain, ground, shows[n - 1], sharp, lossy) for n in numbers])


def _kept(width: Points, optics: Optics) -> Points:
    """How much of their contrast lines of `width` [N] pixels keep through the optics, at the size at which a clip is judged.

    The detector adds its noise behind them, so that what sharpening gives a line is its own.
    """
    soft = width**2 + (_WIDTH_OF_SIGMA * max(optics.blur_px, 0.4)) ** 2 + SHRINKS**2
    line, halo = width / np.sqrt(soft), width / np.sqrt(soft + (_WIDTH_OF_SIGMA * optics.radius_px) ** 2)
    kept: Points = line + (optics.sharpen if optics.sharpen >= LEAST_SHARPENED else 0.0) * (line - halo)
    return kept


def _share(plan: CinePlan, built: Scene, chain: Detector, ground: Float, source: int, sharp: Points, lossy: float) -> float:
    at = cine.moment(plan, built, source)
    filled = built.native.filled(built.bolus, at.time_s)
    if filled.max() < 1e-3:
        return 0.0
    table = (float(at.table_px[1]), float(at.table_px[0]))
    breath = built.motion.breath_mm * (motion.HEART_RIDES * at.breath)
    spots = np.round(built.native.place(at.squeeze, breath, table)).astype(int)
    inside = ((spots >= 0) & (spots < FRAME)).all(axis=1)
    column, row = np.clip(spots, 0, FRAME - 1).T
    y, x = row + MARGIN + at.table_px[0], column + MARGIN + at.table_px[1]
    open_ = inside & chain.collimation.sees[row, column]
    if built.covers is not None:
        open_ &= built.covers[y, x] == 0
    behind, sigma = ground[y, x].astype(np.float64), chain.sigma[y, x].astype(np.float64)
    if chain.collimation.nepers is not None:
        behind = behind + chain.collimation.nepers[row, column]
    deep = filled * built.nepers_per_mm * sharp * chain.clear[y, x]
    contrast = chain.grey(behind) - chain.grey(behind + deep)
    noise = 0.5 * chain.residue * (chain.grey(behind + deep - sigma) - chain.grey(behind + deep + sigma))
    clear = contrast >= _CONTRAST_TO_NOISE * np.sqrt(noise**2 + lossy**2 + _ROUNDING**2)
    return float((clear & open_).mean())
