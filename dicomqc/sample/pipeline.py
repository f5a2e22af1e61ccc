"""One file to what the network sees and what the ledger records: header → select → decode → display → resize.

The order is the same for every cine; a cine is refused by the first step that cannot go on, and never raises for its content.
"""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import CineHeader, Eligible, Refused
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.header import read_header
from dicomqc.sample.select import eligibility
from dicomqc.sample.spec import FrameSpec


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
    stored = decode_frames(path, inspected, decision.frame_numbers)
    if isinstance(stored, Refused):
        return inspected.header, stored, None
    frames = resize(to_display(stored, display_lut(inspected.voi, inspected.stored)), spec.size)
    # Training and node share clips between threads; whoever wants to write must copy.
    frames.flags.writeable = False
    return inspected.header, decision, frames
