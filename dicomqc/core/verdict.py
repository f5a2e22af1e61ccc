"""A verdict and everything that it rests on (I7, I8). Unsatisfactory is the positive class."""

from dataclasses import dataclass
from enum import StrEnum

from dicomqc.core.cine import FrameRateSource, Refusal


class Outcome(StrEnum):
    """What the node says of one cine. Ineligible is a verdict, not an error."""

    SATISFACTORY = "satisfactory"
    UNSATISFACTORY = "unsatisfactory"
    INELIGIBLE = "ineligible"


class Mode(StrEnum):
    """Observe delivers every stored instance; enforce delivers what the series rule releases."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Pinned weights: name, version, the SHA-256 of the weights file and of the FrameSpec that they were trained with."""

    name: str
    version: str
    weights_sha256: str
    spec_sha256: str

    def __str__(self) -> str:
        """NAME@VERSION, as people type it."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer says of one cine: the logit and P(unsatisfactory), and the seconds of the model call per clip."""

    logit: float
    p_unsatisfactory: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a verdict rests on (I8). `device` is cpu or cuda:n, `precision` fp32 or bf16."""

    model: ModelRef
    threshold: float
    engine: str
    precision: str
    device: str
    software_version: str
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An immutable verdict on one instance: a score or a refusal, never both."""

    outcome: Outcome
    refusal: Refusal | None
    detail: str
    score: Score | None
    provenance: Provenance
    frame_rate_hz: float | None
    frame_rate_source: FrameRateSource | None
    frames: int | None
    frame_numbers: tuple[int, ...]
    seconds_decode: float | None


def outcome_of(p_unsatisfactory: float, threshold: float) -> Outcome:
    """Unsatisfactory from the threshold on (P ≥ threshold); `p_unsatisfactory` and `threshold` lie in 0..1."""
    return Outcome.UNSATISFACTORY if p_unsatisfactory >= threshold else Outcome.SATISFACTORY
