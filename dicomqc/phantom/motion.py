"""What moves: heartbeat, breath, table, and which moment of the source a stored frame shows."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomqc.phantom.heart import Heart
from dicomqc.phantom.plan import CinePlan, Stream
from dicomqc.phantom.projection import MARGIN, Points, View, mm

_ROOM_PX: Final = MARGIN - 6
_WAY_PX: Final = 42.0
_FOLLOWS: Final = 0.6
CLOUDS_SHRINK: Final = 0.35  # the share of the heart's squeeze by which its shadow and the clouds in it shrink
HEART_RIDES: Final = 0.75  # the share of the diaphragm's way that the heart goes with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """`squeeze`, `twist`, `descent_mm` of full contraction; `breath_mm` [3] of full expiration.

    `pans` are (start in seconds, seconds, way in pixels).
    """

    squeeze: float
    twist: float
    descent_mm: float
    beats_per_s: float
    phase: float
    systole: float
    breath_mm: Points
    breath_s: float
    breath_phase: float
    pans: tuple[tuple[float, float, tuple[float, float]], ...]

    def contraction(self, time_s: float) -> float:
        """How far the heart is contracted, 0 to 1, over systole and the pause after it."""
        phase = (time_s * self.beats_per_s + self.phase) % 1.0
        return float(np.sin(np.pi * phase / self.systole) ** 2) if phase < self.systole else 0.0

    def breath(self, time_s: float) -> float:
        """How far the breath is out, 0 to 1."""
        return 0.5 * (1.0 - float(np.cos(2.0 * np.pi * (time_s / self.breath_s + self.breath_phase))))

    def table_px(self, time_s: float) -> tuple[float, float]:
        """Where the table has moved the picture: columns and rows in pixels, never beyond the canvas's margin."""
        total = np.zeros(2)
        for start, seconds, way in self.pans:
            progress = float(np.clip((time_s - start) / seconds, 0.0, 1.0))
            total += np.array(way) * progress * progress * (3.0 - 2.0 * progress)
        column, row = (float(v) for v in np.clip(total, -_ROOM_PX, _ROOM_PX))
        return column, row

    def shift(self, heart: Heart, points: Points) -> Points:
        """How far full contraction moves `points` [N,3], mm."""
        return heart.contraction(points, self.squeeze, self.twist, self.descent_mm)


def draw(plan: CinePlan, *, beating: bool) -> Motion:
    """The motions of one cine, from their own stream."""
    rng = plan.rng(Stream.MOTION)
    breathes, pans = rng.random() < 0.5, rng.random() < 0.4
    seconds = plan.frames / plan.frame_rate_hz
    ways, towards = [], rng.normal(0.0, _WAY_PX, 2)
    for _ in range(int(rng.integers(1, 4))):
        # An operator follows the contrast medium, mostly on and on the same way.
        way = towards * rng.uniform(0.4, 1.2) if rng.random() < _FOLLOWS else rng.normal(0.0, _WAY_PX, 2)
        ways.append((rng.uniform(0.0, 0.8) * seconds, rng.uniform(0.5, 2.5), (float(way[0]), float(way[1]))))
    strength = 1.0 if beating else 0.0
    return Motion(
        squeeze=strength * rng.uniform(0.06, 0.16),
        twist=strength * rng.normal(0.15, 0.08),
        descent_mm=strength * rng.uniform(4.0, 12.0),
        beats_per_s=plan.heart_rate_bpm / 60.0,
        phase=rng.random(),
        systole=rng.uniform(0.35, 0.55),
        breath_mm=mm(rng.normal(0, 1.0), rng.normal(0, 1.5), -1.0) * (rng.uniform(2.0, 16.0) if breathes else 0.0),
        breath_s=rng.uniform(2.5, 6.0),
        breath_phase=rng.random(),
        pans=tuple(ways) if pans else (),
    )


def breath_px(motion: Motion, view: View) -> tuple[float, float]:
    """How far full expiration moves what follows the diaphragm, columns and rows in pixels."""
    across, up, _ = view.axes @ motion.breath_mm
    return float(across / view.mm_per_pixel), float(-up / view.mm_per_pixel)


def source_numbers(plan: CinePlan) -> tuple[int, ...]:
    """Which frame of the source, counted from 1 at the stored rate, each stored frame shows.

    A source at half the rate is doubled; now and then a frame is held for a moment, or some are lost.
    """
    rng = plan.rng(Stream.MOTION, 1)
    numbers = np.arange(1, plan.frames + 1)
    if plan.source_rate_hz < 0.75 * plan.frame_rate_hz:
        numbers = (numbers - 1) // 2 * 2 + 1
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(1, 5))):
            at, length = int(rng.integers(2, max(plan.frames - 4, 3))), int(rng.integers(1, 4))
            if rng.random() < 0.6:
                numbers[at : at + length] = numbers[at]
            else:
                numbers[at:] += length
    return tuple(int(n) for n in numbers)
