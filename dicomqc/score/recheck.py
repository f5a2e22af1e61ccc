"""What another arithmetic does to verdicts: the same cines scored in fp32 and in it, side by side, on this machine.

A threshold is chosen in fp32; whoever runs in bf16 must have seen how far logits move on cines of their own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Failure
from dicomqc.core.errors import ConfigError
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Score
from dicomqc.models import registry
from dicomqc.score.batch import clip_of
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import Scorer, tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """How `clips` eligible cines of `files` fared. Shifts are |logit − fp32 logit|; `changed` counts verdicts at `threshold`.

    `suggested` is the threshold of the other precision that keeps most fp32 verdicts; `changed_there` still change.
    """

    files: int
    clips: int
    shift_median: float
    shift_max: float
    threshold: float
    changed: int
    suggested: float
    changed_there: int


def recheck(paths: Sequence[Path], options: ScoreOptions) -> Recheck:
    """Score the eligible cines of `paths` in fp32 and in `options.precision`.

    Raises ConfigError (no such precision here, no eligible cine), IntegrityError, TransientError.
    """
    model = registry.resolve(options.model, options.registry)
    registry.verify(model.folder)
    reference = tested(model, device=options.device, precision="fp32", cache=options.cache)
    other = tested(model, device=options.device, precision=options.precision, cache=options.cache)
    threshold = model.card.threshold if options.threshold is None else options.threshold
    with Decoders(model.card.spec, short=options.short, count=1) as decoders:
        clips = _clips(paths, decoders)
        return compare(clips, reference, other, threshold=threshold, files=len(paths))


def compare(clips: Iterable[NDArray[np.uint8]], reference: Scorer, other: Scorer, *, threshold: float, files: int) -> Recheck:
    """Score each clip uint8 [T,S,S] by both. Raises ConfigError where there is none."""
    pairs = [(_one(reference, clip), _one(other, clip)) for clip in clips]
    if not pairs:
        raise ConfigError("recheck: none of these files is an eligible cine")
    shifts = [abs(a.logit - b.logit) for a, b in pairs]
    wanted = np.array([a.p_unsatisfactory >= threshold for a, _ in pairs])
    found = np.array([b.p_unsatisfactory for _, b in pairs])
    suggested, changed_there = _nearest_threshold(wanted, found, threshold)
    return Recheck(
        files=files,
        clips=len(pairs),
        shift_median=median(shifts),
        shift_max=max(shifts),
        threshold=threshold,
        changed=int((wanted != (found >= threshold)).sum()),
        suggested=suggested,
        changed_there=changed_there,
    )


def _nearest_threshold(wanted: NDArray[np.bool_], found: NDArray[np.float64], threshold: float) -> tuple[float, int]:
    """Of the given threshold and those between two neighbouring probabilities: fewest changes, then the nearest."""
    levels = np.unique(np.concatenate([[0.0], found, [1.0]]))
    # As they will be printed and typed, so that what is set is what was counted.
    between = [float(f"{c:.8g}") for c in (levels[1:] + levels[:-1]) / 2]
    candidates = [threshold, *(c for c in between if 0 < c < 1)]
    changes = [int((wanted != (found >= c)).sum()) for c in candidates]
    best = min(range(len(candidates)), key=lambda i: (changes[i], abs(candidates[i] - threshold)))
    return candidates[best], changes[best]


def _clips(paths: Sequence[Path], decoders: Decoders) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        sampled = decoders.submit(path, None).result()
        clip = None if isinstance(sampled, Failure) else clip_of(sampled)
        if clip is not None:
            yield clip.frames


def _one(scorer: Scorer, clip: NDArray[np.uint8]) -> Score:
    return scorer.score(clip[None])[0]
