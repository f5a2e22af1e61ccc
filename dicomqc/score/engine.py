"""The scorer: sampled frames to P(unsatisfactory), and the start-up checks without which no scorer is handed out (I13)."""

import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.core.cine import Failure
from dicomqc.core.errors import ConfigError, PermanentError
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Mode, Provenance, Score
from dicomqc.models import registry, selftest, weights
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.decode import check_codecs
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise
from dicomqc.score import device as devices


class Scorer(Protocol):
    """An engine with weights: `engine`, `precision` and `device` go into every verdict that rests on it (I8)."""

    @property
    def engine(self) -> str:
        """What computes."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: cpu or cuda:N."""
        ...

    def score(self, frames: NDArray[np.uint8]) -> list[Score]:
        """Clips uint8 [N,T,S,S] to one score each. Raises PermanentError (scorer_failed) where a logit is not finite."""
        ...


class TorchScorer:
    """Eager PyTorch in fp32. `model` takes float [N,C,T,S,S] and gives logits [N,1] of the positive class, unsatisfactory."""

    engine = "torch"
    precision = "fp32"

    def __init__(self, model: nn.Module, spec: FrameSpec, device: str) -> None:
        if device != devices.CPU:
            # Convolutions would take TF32 by default, and the verdict says fp32.
            torch.backends.cudnn.allow_tf32 = False
        self.device = device
        self._model = model.eval().to(device)
        self._spec = spec

    def score(self, frames: NDArray[np.uint8]) -> list[Score]:
        """Clips uint8 [N,T,S,S] to one score each; `seconds` is the call's time divided by N. Raises PermanentError."""
        began = perf_counter()
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(frames, dtype=np.uint8, order="C")).to(self.device)
            logits: list[float] = self._model(normalise(batch, self._spec)).reshape(len(frames)).double().tolist()
        if not all(map(math.isfinite, logits)):
            raise PermanentError("the model gave a logit that is not finite", reason=Failure.SCORER_FAILED.value)
        seconds = (perf_counter() - began) / max(len(frames), 1)
        return [Score(logit=x, p_unsatisfactory=sigmoid(x), seconds=seconds) for x in logits]


def sigmoid(logit: float) -> float:
    """The probability of a logit, without overflow at either end."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A scorer that passed its start-up checks, the version that it runs, and what its verdicts will say of it."""

    scorer: Scorer
    version: ModelVersion
    provenance: Provenance


def open_scorer(options: ScoreOptions) -> LoadedModel:
    """Load the pinned version and try it on its golden cine. Raises ConfigError, IntegrityError: then the stage must not start.

    `enforce` on demonstration weights is refused: nobody filters patients by accident.
    """
    version = registry.resolve(options.model, options.registry)
    card = version.card
    if options.mode is Mode.ENFORCE and card.demonstration and not options.allow_demonstration:
        raise ConfigError(
            f"score.allow_demonstration: mode enforce would filter patients' cines by {version.ref}, whose card says "
            "demonstration; use mode observe or other weights"
        )
    check_codecs()
    registry.verify(version.folder)
    scorer = TorchScorer(weights.load(version), card.spec, devices.select(options.device))
    selftest.golden(version, scorer)
    provenance = Provenance(
        model=version.ref,
        threshold=card.threshold if options.threshold is None else options.threshold,
        engine=scorer.engine,
        precision=scorer.precision,
        device=scorer.device,
        software_version=_software_version(),
        mode=options.mode,
    )
    return LoadedModel(scorer=scorer, version=version, provenance=provenance)


def _software_version() -> str:
    try:
        return installed_version("dicomqc")
    except PackageNotFoundError:
        return "unknown"
