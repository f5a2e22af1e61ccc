"""The frames of a simulated cine. A frame depends on the plan and its own number alone, so any subset equals the full run."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import detector
from dicomqc.phantom.contrast import CODES
from dicomqc.phantom.detector import Detector
from dicomqc.phantom.plan import CinePlan, Stream
from dicomqc.phantom.projection import FRAME, MARGIN, Float
from dicomqc.phantom.scene import Motion, Scene, build

_SYSTOLE: Final = 0.45


def render(plan: CinePlan, frames: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Display grey uint8 [T,512,512] of the 1-based frame numbers `frames`, or of the whole cine."""
    numbers = range(1, plan.frames + 1) if frames is None else frames
    scene = build(plan)
    chain = detector.build(plan.rng(Stream.DETECTOR), _resting(scene))
    rows, columns = np.mgrid[MARGIN : MARGIN + FRAME, MARGIN : MARGIN + FRAME].astype(np.float32)
    grid = np.ascontiguousarray(np.stack([columns, rows], axis=2))
    cine = np.empty((len(numbers), FRAME, FRAME), np.uint8)
    for index, number in enumerate(numbers):
        attenuation = _attenuation(scene, chain, grid, (number - 1) / plan.frame_rate_hz)
        cine[index] = detector.expose(chain, attenuation, number, plan.rng(Stream.NOISE, number))
    return cine


def _resting(scene: Scene) -> Float:
    return np.asarray(scene.still + scene.diaphragm + scene.solid, dtype=np.float32)


def contraction(motion: Motion, time_s: float) -> float:
    """How far the heart is contracted, 0 to 1, over systole and the pause after it."""
    phase = (time_s * motion.beats_per_s + motion.phase) % 1.0
    return float(np.sin(np.pi * phase / _SYSTOLE) ** 2) if phase < _SYSTOLE else 0.0


def _shift(motion: Motion, time_s: float) -> tuple[float, float, float]:
    """Where the table and the breath have moved the scene: columns, rows, and rows of the breath alone, in pixels."""
    progress = float(np.clip((time_s - motion.pan_start_s) / motion.pan_s, 0.0, 1.0))
    eased = progress * progress * (3.0 - 2.0 * progress)
    breath = motion.breath_px * 0.5 * (1.0 - np.cos(2.0 * np.pi * (time_s / motion.breath_s + motion.breath_phase)))
    return motion.pan_px[0] * eased, motion.pan_px[1] * eased, float(breath)


def _attenuation(scene: Scene, chain: Detector, grid: Float, time_s: float) -> Float:
    """The attenuation of one instant in grey levels, float32 [FRAME,FRAME]."""
    squeeze = contraction(scene.motion, time_s)
    right, down, breath = _shift(scene.motion, time_s)
    levels = (scene.bolus.level(time_s, CODES) * scene.nepers_per_mm).astype(np.float32)
    # A table of concentrations by the way from the ostium is all that changes inside the tree.
    filled = cv2.multiply(cv2.LUT(scene.vessels.way, levels), scene.vessels.thickness)
    pool = float(scene.pool_bolus.level(time_s, np.zeros(1))[0]) * (1.0 - scene.pool_pulse * squeeze)
    moving = cv2.scaleAdd(scene.pool, pool * scene.nepers_per_mm, cv2.add(filled, scene.solid))
    source = cv2.add(cv2.scaleAdd(scene.motion.field, squeeze, grid), (right, down - breath, 0.0, 0.0))
    warped = cv2.remap(moving, source, None, cv2.INTER_LINEAR)
    x, y = MARGIN + round(right), MARGIN + round(down)
    z = y - round(breath)
    behind = cv2.add(scene.still[y : y + FRAME, x : x + FRAME], scene.diaphragm[z : z + FRAME, x : x + FRAME])
    scale = chain.grey_per_neper
    return np.asarray(cv2.addWeighted(warped, scale, behind, scale, 0.0), dtype=np.float32)
