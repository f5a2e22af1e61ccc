"""The golden self-test: this machine reads, samples and scores the version's own cine as the publishing one did (I13)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Eligible
from dicomqc.core.errors import IntegrityError, PermanentError
from dicomqc.core.verdict import Score
from dicomqc.models import registry
from dicomqc.models.registry import ModelVersion
from dicomqc.models.runtime.protocol import EXTRA_TOLERANCE
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import FrameSpec

GREY_TOLERANCE = 1


class Scores(Protocol):
    """Whatever scores a batch of clips, in one precision."""

    @property
    def precision(self) -> str:
        """The arithmetic: fp32 or bf16."""
        ...

    @property
    def max_clips(self) -> int:
        """How many clips one call may hold."""
        ...

    def score(self, frames: NDArray[np.uint8]) -> Sequence[Score]:
        """Clips uint8 [N,T,S,S] to one score each."""
        ...


def golden(version: ModelVersion, scorer: Scores) -> None:
    """Pixels exactly, frames within 1 grey level, logit within the precision's tolerance. Raises IntegrityError."""
    path = version.folder / registry.GOLDEN
    pixels_sha256, frames = observe(path, version.card.spec)
    expected = version.card.golden
    if pixels_sha256 != expected.pixels_sha256:
        raise _failed(path, "its pixels decode differently here")
    reference = _reference(version.folder / registry.GOLDEN_FRAMES)
    if reference.shape != frames.shape or np.abs(reference.astype(np.int16) - frames).max() > GREY_TOLERANCE:
        raise _failed(path, "its frames are sampled differently here")
    tolerance = expected.tolerance + EXTRA_TOLERANCE[scorer.precision]
    # Alone and in a full call: engines have another way for each.
    for count in {1, scorer.max_clips}:
        for score in _scores(scorer, np.repeat(frames[None], count, axis=0), path):
            if not abs(score.logit - expected.logit) <= tolerance:
                raise _failed(path, f"its logit is {score.logit:.4f} in {scorer.precision}, {expected.logit:.4f} was published")


def _scores(scorer: Scores, clips: NDArray[np.uint8], path: Path) -> Sequence[Score]:
    """At the start a model that cannot score is no bad luck: whoever starts must refuse."""
    try:
        return scorer.score(clips)
    except PermanentError as error:
        raise _failed(path, str(error)) from error


def _reference(path: Path) -> NDArray[np.uint8]:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _failed(path, f"it is no array ({type(error).__name__})") from error
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
        raise _failed(path, "it holds no grey levels")
    return found


def observe(path: Path, spec: FrameSpec) -> tuple[str, NDArray[np.uint8]]:
    """The SHA-256 of the sampled stored frames, and the frames uint8 [T,S,S]. Raises IntegrityError if it is refused."""
    inspected = read_header(path)
    sampled = sample_cine(path, spec)
    if not isinstance(inspected, Inspected) or not isinstance(sampled.decision, Eligible) or sampled.frames is None:
        raise _failed(path, f"it is refused: {sampled.decision}")
    stored = decode_frames(path, inspected, sampled.decision.frame_numbers)
    if not isinstance(stored, np.ndarray):
        raise _failed(path, f"it is refused: {stored}")
    return hashlib.sha256(np.ascontiguousarray(stored).tobytes()).hexdigest(), sampled.frames


def _failed(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"{path}: the golden self-test failed: {why}", reason="self_test_failed")
