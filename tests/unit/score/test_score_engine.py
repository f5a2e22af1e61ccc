"""The eager scorer: finite logits to probabilities, or a failure that names itself; and which device it runs on."""

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.core.cine import Failure
from dicomqc.core.errors import ConfigError, PermanentError
from dicomqc.sample.spec import FrameSpec
from dicomqc.score import device
from dicomqc.score.engine import TorchScorer

SPEC = FrameSpec(kind="3d", step=16, size=4, normalisation="fixed", mean=0.0, std=1.0)


class Scaled(nn.Module):
    """The mean of the input times a factor: a network small enough to reason about."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.mean(dim=(1, 2, 3, 4))[:, None] * self.factor


def clips(*greys: int) -> np.ndarray:
    return np.stack([np.full((2, 4, 4), g, np.uint8) for g in greys])


def test_a_score_is_the_logistic_of_its_own_clips_logit() -> None:
    black, white = TorchScorer(Scaled(2.0), SPEC, "cpu").score(clips(0, 255))
    assert (black.logit, black.p_unsatisfactory) == (0.0, 0.5)
    assert white.logit == pytest.approx(2.0)
    assert white.p_unsatisfactory == pytest.approx(0.880797)
    assert black.seconds == white.seconds > 0


@pytest.mark.parametrize(("factor", "p"), [(5000.0, 1.0), (-5000.0, 0.0)])
def test_an_extreme_logit_is_a_probability_still(factor: float, p: float) -> None:
    assert TorchScorer(Scaled(factor), SPEC, "cpu").score(clips(255))[0].p_unsatisfactory == p


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -float("inf")])
def test_a_logit_that_is_not_finite_is_no_score(factor: float) -> None:
    with pytest.raises(PermanentError) as failure:
        TorchScorer(Scaled(factor), SPEC, "cpu").score(clips(255))
    assert failure.value.reason == Failure.SCORER_FAILED


def test_an_error_of_the_runtime_is_the_scorers_failure() -> None:
    with pytest.raises(PermanentError) as failure:
        TorchScorer(nn.Linear(7, 1), SPEC, "cpu").score(clips(255))
    assert failure.value.reason == Failure.SCORER_FAILED


def test_read_only_frames_are_scored_and_left_as_they_are() -> None:
    frames = clips(7)
    frames.flags.writeable = False
    TorchScorer(Scaled(1.0), SPEC, "cpu").score(frames)
    assert (frames == 7).all()


def test_auto_takes_what_there_is() -> None:
    assert device.select("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert str(device.select("cpu")) == "cpu"


@pytest.mark.parametrize("name", ["cuda:63", "gpu", "meta", ""])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(name: str) -> None:
    with pytest.raises(ConfigError, match=r"score\.device"):
        device.select(name)
