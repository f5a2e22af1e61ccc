"""The frames of a simulated cine. A frame depends on the plan and its own number alone, so any subset equals the full run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import detector, motion, scene
from dicomqc.phantom.contrast import CELL
from dicomqc.phantom.detector import Detector
from dicomqc.phantom.plan import JPEG_BASELINE, CinePlan, Stream
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, Float
from dicomqc.phantom.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything that a frame's time decides: the heart, the breath, and the table in whole pixels (rows, columns)."""

    number: int
    time_s: float
    squeeze: float
    breath: float
    table_px: tuple[int, int]


def moment(plan: CinePlan, built: Scene, number: int) -> Moment:
    """The moment that frame `number` of the source shows."""
    time_s = (number - 1) / plan.frame_rate_hz
    column, row = built.motion.table_px(time_s)
    return Moment(
        number=number,
        time_s=time_s,
        squeeze=built.motion.contraction(time_s),
        breath=built.motion.breath(time_s),
        table_px=(round(row), round(column)),
    )


def render(plan: CinePlan, frames: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Display grey uint8 [T,512,512] of the 1-based frame numbers `frames`, or of the whole cine, as an encoder gets them.

    Numbers beyond the cine's end show what would have come.
    """
    numbers = range(1, plan.frames + 1) if frames is None else frames
    built, chain, shows = scene.build(plan), imaging(plan), motion.source_numbers(plan)
    spoilt = plan.jpeg_quality > 0 and plan.transfer_syntax_uid != JPEG_BASELINE
    cine = np.empty((len(numbers), FRAME, FRAME), np.uint8)
    strands: dict[int, Float] = {}
    last = -1
    for index, number in enumerate(numbers):
        source = shows[number - 1] if number <= len(shows) else shows[-1] + number - len(shows)
        if source == last:
            cine[index] = cine[index - 1]
            continue
        last = source
        needed = (source, source - 1) if chain.lag > 0.0 else (source,)
        strands = {n: strands[n] if n in strands else _strands(plan, built, n) for n in needed}
        at = moment(plan, built, source)
        grain = detector.noise(chain, [plan.rng(Stream.NOISE, max(source - k, 0)) for k in range(len(chain.memory))])
        fresh = strands[source]
        drawn = cv2.addWeighted(fresh, 1.0 - chain.lag, strands[source - 1], chain.lag, 0.0) if chain.lag > 0.0 else fresh
        nepers = _attenuation(built, chain, at, drawn)
        shown = detector.expose(chain, nepers, grain, _origin(at), source)
        cine[index] = codec(shown, plan.jpeg_quality) if spoilt else shown
    return cine


def shown(plan: CinePlan, frames: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """As `render`, but as a reader of the file sees it: through JPEG Baseline where that is the transfer syntax."""
    cine = render(plan, frames)
    if plan.transfer_syntax_uid == JPEG_BASELINE:
        for frame in cine:
            frame[...] = codec(frame, plan.jpeg_quality)
    return cine


def encode(frame: NDArray[np.uint8], quality: int) -> bytes:
    """A frame [H,W] as a JPEG Baseline stream."""
    return bytes(imagecodecs.jpeg8_encode(frame, level=quality))


def codec(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A frame [H,W] after JPEG Baseline of this quality."""
    return np.asarray(imagecodecs.jpeg8_decode(encode(frame, quality)), dtype=np.uint8)


@lru_cache(maxsize=2)
def imaging(plan: CinePlan) -> Detector:
    """The imaging chain of `plan`; its window is set on the chest at rest, before contrast."""
    built = scene.build(plan)
    heart = cv2.resize(built.heart, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    rest = np.asarray(built.still + built.diaphragm + heart, dtype=np.float32)
    return detector.build(plan.rng(Stream.DETECTOR), built.still, rest, built.nepers_per_mm)


def _origin(at: Moment) -> tuple[int, int]:
    return MARGIN + at.table_px[0], MARGIN + at.table_px[1]


def _strands(plan: CinePlan, built: Scene, number: int) -> Float:
    """Vessels and things at frame `number` of the source in mm of contrast, float32 [FRAME,FRAME]."""
    at = moment(plan, built, number)
    breath = built.motion.breath_mm * (motion.HEART_RIDES * at.breath)
    table = (float(at.table_px[1]), float(at.table_px[0]))
    total = np.zeros((FRAME, FRAME), np.float32)
    for strands, bolus in ((built.vessels, built.bolus), (built.things, None)):
        filled = strands.filled(bolus, at.time_s)
        if len(filled) and filled.max() > 1e-3:
            painted = strands.paint(strands.place(at.squeeze, breath, table), filled)
            total = total if painted is None else cv2.add(total, painted)
    return total


def _attenuation(built: Scene, chain: Detector, at: Moment, strands: Float) -> Float:
    """The attenuation of one instant in nepers, glare and filters included, float32 [FRAME,FRAME]."""
    row, column = _origin(at)
    right, down = (v * at.breath for v in motion.breath_px(built.motion, built.view))
    clear = chain.clear[row : row + FRAME, column : column + FRAME]
    npm = built.nepers_per_mm
    slow = built.heart
    for cloud in built.clouds:
        depth = cloud.at(at.time_s, at.squeeze)
        slow = slow if depth is None else cv2.scaleAdd(depth, npm, slow)
    ride = motion.HEART_RIDES / CELL
    shrink = 1.0 - motion.CLOUDS_SHRINK * built.motion.squeeze * at.squeeze
    middle = CANVAS / 2 / CELL
    matrix = np.array([[shrink, 0.0, middle * (1 - shrink) + right * ride], [0.0, shrink, middle * (1 - shrink) + down * ride]])
    slow = cv2.warpAffine(slow, matrix, slow.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    large = cv2.resize(slow, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)[row : row + FRAME, column : column + FRAME]
    y, x = (int(np.clip(v, 0, 2 * MARGIN)) for v in (row - round(down), column - round(right)))
    deep = cv2.add(large, built.diaphragm[y : y + FRAME, x : x + FRAME])
    deep = cv2.add(deep, chain.optics.filter(cv2.multiply(strands, npm)))
    base = chain.base[row : row + FRAME, column : column + FRAME]
    return np.asarray(cv2.add(base, cv2.multiply(deep, clear)), dtype=np.float32)
