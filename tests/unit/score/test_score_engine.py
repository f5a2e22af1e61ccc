"""From a runtime's logits to scores: finite logits to probabilities, or a failure that names itself."""

from dataclasses import dataclass

import numpy as np
import pytest

from dicomqc.core.cine import Failure
from dicomqc.core.errors import PermanentError
from dicomqc.score.engine import RuntimeScorer


@dataclass
class Scaled:
    """A runtime whose logit is the mean grey level times a factor; above `breaks_at` clips it breaks."""

    factor: float
    breaks_at: int = 9
    engine: str = "scaled"
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    max_clips: int = 9

    def logits(self, frames: np.ndarray) -> list[float]:
        if len(frames) >= self.breaks_at:
            raise RuntimeError("out of order")
        return [float(f.mean()) / 255.0 * self.factor for f in frames]


def clips(*greys: int) -> np.ndarray:
    return np.stack([np.full((2, 4, 4), g, np.uint8) for g in greys])


def test_a_score_is_the_logistic_of_its_own_clips_logit() -> None:
    black, white = RuntimeScorer(Scaled(2.0)).score(clips(0, 255))
    assert (black.logit, black.p_unsatisfactory) == (0.0, 0.5)
    assert white.logit == pytest.approx(2.0)
    assert white.p_unsatisfactory == pytest.approx(0.880797)
    assert black.seconds == white.seconds > 0


@pytest.mark.parametrize(("factor", "p"), [(5000.0, 1.0), (-5000.0, 0.0)])
def test_an_extreme_logit_is_a_probability_still(factor: float, p: float) -> None:
    assert RuntimeScorer(Scaled(factor)).score(clips(255))[0].p_unsatisfactory == p


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -float("inf")])
def test_a_logit_that_is_not_finite_is_no_score(factor: float) -> None:
    with pytest.raises(PermanentError) as failure:
        RuntimeScorer(Scaled(factor)).score(clips(255))
    assert failure.value.reason == Failure.SCORER_FAILED


def test_an_error_of_the_runtime_is_the_scorers_failure() -> None:
    with pytest.raises(PermanentError) as failure:
        RuntimeScorer(Scaled(1.0, breaks_at=1)).score(clips(255))
    assert failure.value.reason == Failure.SCORER_FAILED


def test_the_scorer_says_what_its_runtime_says() -> None:
    scorer = RuntimeScorer(Scaled(1.0))
    assert (scorer.engine, scorer.precision, scorer.device, scorer.max_clips) == ("scaled", "fp32", "cpu", 9)
