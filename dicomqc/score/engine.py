"""The scorer, and the one way to get it: weights verified, self-test passed, provenance fixed (I8, I13)."""

import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from dicomqc.core.cine import Failure
from dicomqc.core.errors import ConfigError, PermanentError, TransientError
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Mode, ModelRef, Provenance, Score
from dicomqc.models import registry, selftest
from dicomqc.models.registry import ModelVersion
from dicomqc.models.runtime.opening import open_runtime
from dicomqc.models.runtime.protocol import Runtime
from dicomqc.sample.decode import check_codecs

log = structlog.get_logger()


class Scorer(selftest.Scores, Protocol):
    """Whatever turns clips into scores; one engine, precision and device for its whole life."""

    @property
    def engine(self) -> str:
        """The name of the runtime."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: cpu or cuda:N."""
        ...


@dataclass(frozen=True, slots=True)
class RuntimeScorer:
    """The scores of a runtime's logits."""

    runtime: Runtime

    @property
    def engine(self) -> str:
        """The name of the runtime."""
        return self.runtime.engine

    @property
    def precision(self) -> str:
        """The arithmetic: fp32 or bf16."""
        return self.runtime.precision

    @property
    def device(self) -> str:
        """Where it computes: cpu or cuda:N."""
        return self.runtime.device

    @property
    def max_clips(self) -> int:
        """How many clips one call may hold."""
        return self.runtime.max_clips

    def score(self, frames: NDArray[np.uint8]) -> list[Score]:
        """Clips of grey levels uint8 [N,T,S,S] to one score each. Raises PermanentError (scorer_failed)."""
        began = perf_counter()
        try:
            logits = self.runtime.logits(frames)
        except RuntimeError as error:
            raise PermanentError(f"the model call failed ({type(error).__name__})", reason=Failure.SCORER_FAILED) from error
        if len(logits) != len(frames) or not all(map(math.isfinite, logits)):
            raise PermanentError("the model did not give one finite logit a clip", reason=Failure.SCORER_FAILED)
        seconds = (perf_counter() - began) / len(frames)
        return [Score(logit=x, p_unsatisfactory=_logistic(x), seconds=seconds) for x in logits]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A scorer that passed the self-test of its version, and what every verdict of it rests on."""

    scorer: Scorer
    version: ModelVersion
    provenance: Provenance

    def check(self) -> None:
        """Repeat the self-test, after a failed model call. Raises EngineLost where it is the engine that fails."""
        try:
            selftest.golden(self.version, self.scorer)
        except PermanentError as error:
            raise EngineLost("the engine no longer passes its self-test") from error


class EngineLost(TransientError):
    """The engine broke while running (a GPU that fell off the bus): the cines are innocent and the process must start anew."""


def open_scorer(options: ScoreOptions) -> LoadedModel:
    """Load the pinned model, or refuse to start (I13).

    Raises ConfigError (no such model or device, a missing codec, demonstration weights in mode enforce) and IntegrityError
    (a file that is not what was published, a failed self-test).
    """
    model = registry.resolve(options.model, options.registry)
    if model.card.demonstration and options.mode is Mode.ENFORCE and not options.allow_demonstration:
        raise ConfigError(
            f"score.model: {model.ref} has demonstration weights, trained on simulated angiograms; mode enforce would filter "
            "patients by them. Run them in mode observe, or pin weights that are fit for patients "
            "(score.allow_demonstration is for `dicomqc demo`)"
        )
    if options.precision != "fp32" and options.threshold is None:
        raise ConfigError(
            f"score.precision: the threshold of {model.ref} was chosen in fp32. See with `dicomqc models recheck` what "
            f"{options.precision} does to your cines, and set score.threshold"
        )
    registry.verify(model.folder)
    scorer = tested(model, device=options.device, precision=options.precision, cache=options.cache)
    loaded = LoadedModel(scorer=scorer, version=model, provenance=_provenance(model.ref, scorer, model.card.threshold, options))
    if model.card.demonstration:
        log.warning("demonstration_weights_are_not_valid_for_patients", model=str(model.ref))
    log.info("model_loaded", model=str(model.ref), engine=scorer.engine, precision=scorer.precision, device=scorer.device)
    return loaded


def tested(model: ModelVersion, *, device: str, precision: Literal["fp32", "bf16"], cache: Path) -> RuntimeScorer:
    """A scorer of a version whose files were verified, past its golden self-test. Raises ConfigError, IntegrityError."""
    check_codecs()
    scorer = RuntimeScorer(open_runtime(model, device=device, precision=precision, cache=cache))
    selftest.golden(model, scorer)
    return scorer


def _provenance(ref: ModelRef, scorer: Scorer, card_threshold: float, options: ScoreOptions) -> Provenance:
    return Provenance(
        model=ref,
        threshold=card_threshold if options.threshold is None else options.threshold,
        engine=scorer.engine,
        precision=scorer.precision,
        device=scorer.device,
        software_version=_software_version(),
        mode=options.mode,
    )


def _software_version() -> str:
    try:
        return version("dicomqc")
    except PackageNotFoundError:
        return "unknown"


def _logistic(logit: float) -> float:
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1.0 + grown)
