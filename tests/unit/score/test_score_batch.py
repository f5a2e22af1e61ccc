"""Verdicts from sampled cines: the threshold, refusals, failures, and one bad clip among good ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dicomqc.core.cine import Eligible, Failure, Refusal, Refused
from dicomqc.core.verdict import Outcome, Verdict
from dicomqc.models.card import Card, Golden
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import FrameSpec
from dicomqc.score import batch
from dicomqc.score.engine import LoadedModel, RuntimeScorer
from tests.support.facts import PROVENANCE

# Brightness in, brightness out: the logit of a grey clip is its level less the middle.
SPEC = FrameSpec(kind="3d", step=16, size=4, channels=1, normalisation="fixed", mean=0.5, std=1.0)
CARD = Card(
    name="tiny",
    version="1.0.0",
    architecture="tiny",
    spec=SPEC,
    weights_sha256="a" * 64,
    threshold=0.5,
    golden=Golden(pixels_sha256="b" * 64, logit=0.0, tolerance=1e-3),
    metrics={},
    training={},
    licence="Apache-2.0",
    intended_use="tests",
    demonstration=False,
    created="2026-11-24",
)


class Brightness:
    """A runtime: the mean of a clip; a black one has no finite logit."""

    engine, precision, device, threads, max_clips = "brightness", "fp32", "cpu", 1, 8

    def logits(self, frames: np.ndarray) -> list[float]:
        means = [float(f.mean()) / 255.0 - 0.5 for f in frames]
        return [m if m > -0.5 else float("nan") for m in means]


SCORER = RuntimeScorer(Brightness())
LOADED = LoadedModel(
    scorer=SCORER, version=ModelVersion(ref=PROVENANCE.model, card=CARD, folder=Path("nowhere")), provenance=PROVENANCE
)


def clip(level: int) -> Sampled:
    frames = np.full((2, 4, 4), level, np.uint8)
    return Sampled(header=None, decision=Eligible(frame_numbers=(16, 32)), frames=frames, seconds_decode=0.25)


def refused() -> Sampled:
    why = Refused(reason=Refusal.TOO_SHORT, detail="14 of 47 frames")
    return Sampled(header=None, decision=why, frames=None, seconds_decode=0.25)


def outcomes(*sampled: Sampled | Failure, loaded: LoadedModel = LOADED) -> list[object]:
    return [r.outcome if isinstance(r, Verdict) else r for r in batch.judge(sampled, loaded)]


def test_unsatisfactory_begins_at_the_threshold() -> None:
    p = SCORER.score(np.full((1, 2, 4, 4), 200, np.uint8))[0].p_unsatisfactory
    at = replace(LOADED, provenance=replace(PROVENANCE, threshold=p))
    above = replace(LOADED, provenance=replace(PROVENANCE, threshold=np.nextafter(p, 1.0)))
    assert outcomes(clip(200), loaded=at) == [Outcome.UNSATISFACTORY]
    assert outcomes(clip(200), loaded=above) == [Outcome.SATISFACTORY]


def test_each_answer_keeps_its_place_among_refusals_and_failures() -> None:
    found = outcomes(refused(), clip(255), Failure.DECODER_CRASHED, clip(10), refused())
    kinds = [Outcome.INELIGIBLE, Outcome.UNSATISFACTORY, Failure.DECODER_CRASHED, Outcome.SATISFACTORY, Outcome.INELIGIBLE]
    assert found == kinds


def test_one_clip_that_breaks_the_call_fails_alone() -> None:
    assert outcomes(clip(255), clip(0), clip(10)) == [Outcome.UNSATISFACTORY, Failure.SCORER_FAILED, Outcome.SATISFACTORY]


def test_i8_a_refusal_carries_reason_detail_and_provenance_but_no_score() -> None:
    (verdict,) = batch.judge([refused()], LOADED)
    assert isinstance(verdict, Verdict)
    assert (verdict.refusal, verdict.detail, verdict.score) == (Refusal.TOO_SHORT, "14 of 47 frames", None)
    assert (verdict.provenance, verdict.frame_numbers, verdict.seconds_decode) == (PROVENANCE, (), 0.25)


def test_i8_a_scored_verdict_names_its_frames() -> None:
    (verdict,) = batch.judge([clip(255)], LOADED)
    assert isinstance(verdict, Verdict)
    assert (verdict.refusal, verdict.frame_numbers, verdict.provenance) == (None, (16, 32), PROVENANCE)
