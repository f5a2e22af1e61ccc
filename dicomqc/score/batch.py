"""From sampled cines to verdicts: the assembling of one micro-batch, without IO, for worker and command line alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import CineHeader, Eligible, Failure, Refused
from dicomqc.core.errors import PermanentError
from dicomqc.core.verdict import Outcome, Provenance, Score, Verdict, outcome_of
from dicomqc.sample.pipeline import Sampled
from dicomqc.score.engine import LoadedModel, Scorer

CONFLICT: Final = "another attribute gives a frame rate that differs by more than 1 fps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What the model sees of one cine: uint8 [T,S,S], and its 1-based frame numbers."""

    frames: NDArray[np.uint8]
    frame_numbers: tuple[int, ...]


def judge(batch: Sequence[Sampled | Failure], loaded: LoadedModel) -> list[Verdict | Failure]:
    """A verdict or failure for each cine, in the batch's order; one model call for all that are eligible."""
    clips = {i: clip for i, sampled in enumerate(batch) if (clip := clip_of(sampled)) is not None}
    scores = dict(zip(clips, score_each(loaded.scorer, [c.frames for c in clips.values()]), strict=True))
    return [_conclude(sampled, clips.get(i), scores.get(i), loaded.provenance) for i, sampled in enumerate(batch)]


def clip_of(sampled: Sampled | Failure) -> Clip | None:
    """The eligible clip, or null where there is nothing to score."""
    if isinstance(sampled, Failure) or sampled.frames is None or not isinstance(sampled.decision, Eligible):
        return None
    return Clip(frames=sampled.frames, frame_numbers=sampled.decision.frame_numbers)


def score_each(scorer: Scorer, clips: Sequence[NDArray[np.uint8]]) -> list[Score | Failure]:
    """One score or failure for each clip uint8 [T,S,S]; after a failed call each is tried alone: one must not fail all."""
    if not clips:
        return []
    try:
        return list(scorer.score(np.stack(clips)))
    except PermanentError as error:
        if len(clips) == 1:
            return [Failure(error.reason)]
    return [score for clip in clips for score in score_each(scorer, [clip])]


def _conclude(
    sampled: Sampled | Failure, clip: Clip | None, score: Score | Failure | None, provenance: Provenance
) -> Verdict | Failure:
    if isinstance(sampled, Failure):
        return sampled
    if isinstance(score, Failure):
        return score
    refused = sampled.decision if isinstance(sampled.decision, Refused) else None
    header = sampled.header
    return Verdict(
        outcome=Outcome.INELIGIBLE if score is None else outcome_of(score.p_unsatisfactory, provenance.threshold),
        refusal=None if refused is None else refused.reason,
        detail=refused.detail if refused is not None else _conflict(header),
        score=score,
        provenance=provenance,
        frame_rate_hz=None if header is None else header.frame_rate_hz,
        frame_rate_source=None if header is None else header.frame_rate_source,
        frames=None if header is None else header.frames,
        frame_numbers=() if clip is None else clip.frame_numbers,
        seconds_decode=sampled.seconds_decode,
    )


def _conflict(header: CineHeader | None) -> str:
    """A frame rate that another attribute contradicts is used, and said."""
    return CONFLICT if header is not None and header.frame_rate_conflict else ""
