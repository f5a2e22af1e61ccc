"""The cache of clips: display grey after `sample`'s resize and before augmentation, uint8 on disk.

Simulated cines are rendered straight to the cached frames; the display step is the identity for them, which a test holds
against the node's own pipeline.
"""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from dicomqc.phantom import sight
from dicomqc.phantom.cine import shown
from dicomqc.phantom.plan import GENERATOR, CinePlan
from dicomqc.sample.display import resize
from dicomqc.sample.spec import FrameSpec

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """`frames` uint8 [N,K,S,S] (read-only map of the cache), `labels` float32 [N] (1: unsatisfactory), patients and kinds [N].

    K is the spec's frames plus `margin` more at both ends, in the spec's step, for start jitter.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.float32]
    patients: tuple[str, ...]
    kinds: tuple[str, ...]
    margin: int

    def centred(self, index: int) -> NDArray[np.uint8]:
        """The frames that the node would sample, uint8 [T,S,S]."""
        return self.frames[index, self.margin : self.frames.shape[1] - self.margin]


def cached_numbers(spec: FrameSpec, margin: int) -> tuple[int, ...]:
    """The spec's 1-based frame numbers and `margin` more before and after."""
    numbers = spec.frame_numbers()
    before = tuple(numbers[0] - spec.step * k for k in range(margin, 0, -1))
    return (*before, *numbers, *(numbers[-1] + spec.step * k for k in range(1, margin + 1)))


def _clip(plan: CinePlan, numbers: tuple[int, ...], size: int) -> tuple[NDArray[np.uint8], bool]:
    """The cached frames of one cine, and whether it is unsatisfactory by what can be seen."""
    cv2.setNumThreads(1)
    return resize(shown(plan, numbers), size), not sight.judge(plan).satisfactory


def cache(
    plans: Sequence[CinePlan], spec: FrameSpec, path: Path, *, margin: int, workers: int, progress: Progress | None = None
) -> Clips:
    """Render `plans` to `path` (npy) unless a cache of exactly these cines is there, and map it.

    The description beside the file is written last, so that an interrupted cache is made anew.
    """
    numbers = cached_numbers(spec, margin)
    note = path.with_suffix(".json")
    described = {
        "cines": [plan.sop_instance_uid for plan in plans],
        "numbers": list(numbers),
        "spec": spec.digest(),
        "generator": GENERATOR,
    }
    if not (note.exists() and json.loads(note.read_text()) == described):
        path.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        shape = (len(plans), len(numbers), spec.size, spec.size)
        frames = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        one = partial(_clip, numbers=numbers, size=spec.size)
        labels = np.zeros(len(plans), np.float32)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for index, (clip, bad) in enumerate(pool.map(one, plans, chunksize=8)):
                frames[index], labels[index] = clip, bad
                if progress:
                    progress(index + 1, len(plans))
        frames.flush()
        np.save(path.with_suffix(".labels.npy"), labels)
        note.write_text(json.dumps(described))
    return Clips(
        frames=np.load(path, mmap_mode="r"),
        labels=np.load(path.with_suffix(".labels.npy")),
        patients=tuple(plan.patient_id for plan in plans),
        kinds=tuple(plan.kind.value for plan in plans),
        margin=margin,
    )
