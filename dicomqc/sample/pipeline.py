"""One file to what the network sees and what the ledger records: header → select → decode → display → resize.

The order is the same for every cine; a cine is refused by the first step that cannot go on, and never raises for its content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import CineHeader, Eligible, Refused
from dicomqc.sample.bits import container
from dicomqc.sample.decode import open_frames, places_of
from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.limits import DEFAULT_LIMITS
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.select import eligibility
from dicomqc.sample.spec import FrameSpec

# `resize` takes four frames in one go; of larger ones, four would take memory for nothing.
_TOGETHER: Final = 4
_LARGE_PIXELS: Final = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What became of one file. `frames`: read-only uint8 [T,S,S] on `decision.frame_numbers`, null where it is refused.

    `header` is null where the file has none that can be read; `seconds_decode` counts from opening to the last resize.
    """

    header: CineHeader | None
    decision: Eligible | Refused
    frames: NDArray[np.uint8] | None
    seconds_decode: float


def sample_cine(path: Path, spec: FrameSpec, *, short: Literal["refuse", "pad"] = "refuse") -> Sampled:
    """Sample the cine at `path` by `spec`.

    Content never raises, with two exceptions that are no property of the cine: OSError where the file cannot be opened or
    read, and MemoryError. A missing codec raises ConfigError (call `codecs.check_codecs` at start).
    """
    began = perf_counter()
    header, decision, frames = _sample(path, spec, short)
    return Sampled(header=header, decision=decision, frames=frames, seconds_decode=perf_counter() - began)


def _sample(
    path: Path, spec: FrameSpec, short: Literal["refuse", "pad"]
) -> tuple[CineHeader | None, Eligible | Refused, NDArray[np.uint8] | None]:
    inspected = read_header(path)
    if isinstance(inspected, Refused):
        return None, inspected, None
    decision = eligibility(inspected.header, spec, short)
    if isinstance(decision, Refused):
        return inspected.header, decision, None
    frames = _shown(path, inspected, decision.frame_numbers, spec.size)
    if isinstance(frames, Refused):
        return inspected.header, frames, None
    # Training and node share clips between threads; whoever wants to write must copy.
    frames.flags.writeable = False
    return inspected.header, decision, frames


def _shown(path: Path, inspected: Inspected, numbers: Sequence[int], size: int) -> NDArray[np.uint8] | Refused:
    """The displayed and resized frames [T,size,size]; a few at a time, so that they are still in the processor's cache."""
    out = np.empty((len(numbers), size, size), dtype=np.uint8)
    try:
        with open_frames(path, inspected, numbers, DEFAULT_LIMITS) as frames:
            lut, places = display_lut(inspected.voi, inspected.stored), places_of(numbers)
            rows, columns, _ = inspected.shape
            step = _TOGETHER if rows * columns <= _LARGE_PIXELS else 1
            memory = np.empty((rows, columns), dtype=container(inspected.stored))
            wanted = list(places)
            for first in range(0, len(wanted), step):
                part = wanted[first : first + step]
                grey = [to_display(frames.stored(frames.read(number), memory), lut) for number in part]
                for number, frame in zip(part, resize(grey, size), strict=True):
                    out[places[number]] = frame
    except Rejected as error:
        return error.refused()
    return out
