"""Other runs of a clip's own frames: looped, held or backwards. Their label follows from what is seen in each frame.

A run that shows a filled tree will do whether it flows or stands still, and one without contrast will not do however it moves:
no network should need the moment of arrival for that, nor be misled by a loop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import sight
from dicomqc.phantom.plan import NATIVE
from training.data.cines import Clips

Frames = NDArray[np.uint8]
HELD: Final = 0.6  # of the replays; the others are loops, and now and then the whole run backwards
_BACKWARDS: Final = 0.2


def known(clips: Clips, index: int) -> bool:
    """Whether it is known what is seen in each sampled frame: in simulated clips alone, and nothing where the kind decides."""
    if not (clips.windows and clips.visible) or math.isnan(clips.windows[index]):
        return False
    return len(clips.visible[index]) == (len(sight.SAMPLED) if clips.kinds[index] in NATIVE else 0)


def shares(clips: Clips, index: int) -> NDArray[np.float32]:
    """The share of the tree that is seen in each cached frame of a clip [K]; nan where nobody says so, as of the margins."""
    found = np.full(clips.frames.shape[1], math.nan, np.float32)
    if known(clips, index):
        found[clips.margin : len(found) - clips.margin] = clips.visible[index] or 0.0
    return found


def clear(seen: NDArray[np.floating], *, unsatisfactory: bool) -> NDArray[np.bool_]:
    """Of which shares that are seen the label is clear: outside the graded band, on that label's side. Of nan it is not."""
    least, most = sight.GRADED
    return np.asarray(seen < least if unsatisfactory else seen >= most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A run `frames` uint8 [T,S,S], the share of the tree that is seen in each frame, `seen` [T], and in the run, `window`.

    `held`: it is one frame for the whole run, without noise or motion of its own.
    """

    frames: Frames
    seen: NDArray[np.float64]
    window: float
    held: bool


def clip(frames: Frames, visible: Sequence[float], rng: np.random.Generator, *, held: bool) -> Replay:
    """Another run of a clip's frames uint8 [T,S,S].

    `visible` [T] are the frames' own shares; none where nothing of the tree counts. T divides the number of sampled frames.
    """
    seen = np.array(visible or np.zeros(len(frames)), np.float64)
    if held:
        return hold(frames, seen, int(rng.integers(len(frames))))
    return _ordered(frames, seen, _looped(len(frames), rng), held=False)


def hold(frames: Frames, seen: NDArray[np.floating], place: int) -> Replay:
    """One of the frames uint8 [T,S,S], of which the shares `seen` [T] are seen, for the whole run."""
    return _ordered(frames, seen, [place] * len(frames), held=True)


def _ordered(frames: Frames, seen: NDArray[np.floating], order: Sequence[int], *, held: bool) -> Replay:
    shown = np.asarray(seen[order], np.float64)
    # Of fewer frames each stands for several of the sampled ones.
    window = sight.best(np.repeat(shown, len(sight.SAMPLED) // len(order)))
    return Replay(frames=frames[order], seen=shown, window=window, held=held)


def _looped(count: int, rng: np.random.Generator) -> list[int]:
    """Which of `count` frames is shown when: two of them at least."""
    if rng.random() < _BACKWARDS:
        return list(range(count))[::-1]
    length = int(rng.integers(2, count // 2 + 1))
    first = int(rng.integers(0, count - length + 1))
    there_and_back = [*range(first, first + length), *range(first + length - 2, first, -1)]
    return [there_and_back[place % len(there_and_back)] for place in range(count)]
