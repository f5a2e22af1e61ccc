"""Whether weights carry over: a real run and what was made of it, scored as the node scores, against the promise.

The promise: every negative is at least `GAP` above every positive, and all are on the right side of the threshold.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from dicomqc.core.cine import Refused
from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome, outcome_of
from dicomqc.models import registry
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.display import display_lut, to_display
from dicomqc.sample.header import read_header
from dicomqc.sample.select import eligibility
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.engine import tested
from training import carryover
from training.carryover import Variant
from training.complexity_tables import aligned
from training.noise import Frames

GAP: Final = 2.0
_HEADER: Final = ("cine", "must be", "variants", "lowest logit", "median", "highest logit", "misses", "the nearest variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One made cine: the logit of P(unsatisfactory) under each variant, and how many are on the wrong side."""

    kind: str
    wanted: Outcome
    logits: tuple[float, ...]
    misses: int

    @property
    def nearest(self) -> int:
        """Which variant comes nearest to the other side."""
        order = max if self.wanted is Outcome.SATISFACTORY else min
        return self.logits.index(order(self.logits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What weights make of a run: a row a cine, its logits in the order of `variants`; `threshold` is P(unsatisfactory)."""

    model: str
    threshold: float
    variants: tuple[Variant, ...]
    rows: tuple[Row, ...]

    @property
    def highest_positive(self) -> float:
        """The worst logit of the cines that must be satisfactory."""
        return max(max(row.logits) for row in self.rows if row.wanted is Outcome.SATISFACTORY)

    @property
    def lowest_negative(self) -> float:
        """The worst logit of the cines that must be unsatisfactory."""
        return min(min(row.logits) for row in self.rows if row.wanted is Outcome.UNSATISFACTORY)

    @property
    def gap(self) -> float:
        """The smallest difference of a negative's logit and a positive's, over all pairs, whatever their variants."""
        return self.lowest_negative - self.highest_positive

    @property
    def gap_by_variant(self) -> float:
        """The smallest difference of a negative's logit and a positive's under the same variant."""
        lowest = np.min([row.logits for row in self.rows if row.wanted is Outcome.UNSATISFACTORY], axis=0)
        highest = np.max([row.logits for row in self.rows if row.wanted is Outcome.SATISFACTORY], axis=0)
        return float((lowest - highest).min())

    @property
    def gap_alike(self) -> float:
        """The smallest difference of a negative and the positive made alike, under one variant; wants all eight cines."""
        rows = {row.kind: np.array(row.logits) for row in self.rows}
        beside = {row.kind: carryover.ALIKE.get(row.kind, carryover.THE_RUN) for row in self.rows}
        wrong = [row.kind for row in self.rows if row.wanted is Outcome.UNSATISFACTORY]
        return float(min((rows[kind] - rows[beside[kind]]).min() for kind in wrong))

    @property
    def misses(self) -> Mapping[str, int]:
        """How many variants of each cine are on the wrong side of the threshold."""
        return {row.kind: row.misses for row in self.rows}

    @property
    def breaches(self) -> tuple[str, ...]:
        """What breaks the promise, in words; none where it is kept."""
        found = []
        if self.gap_by_variant < GAP:
            found.append(f"pairs less than {GAP:g} apart under one and the same variant")
        elif self.gap < GAP:
            found.append(f"pairs less than {GAP:g} apart of other variants, though not under one and the same")
        if wrong := sum(self.misses.values()):
            found.append(f"{wrong} on the wrong side of the threshold")
        return tuple(found)

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return not self.breaches


def check(path: Path, model: ModelVersion, cache: Path, *, contrast_from: int, seed: int, device: str = "auto") -> Carried:
    """Score the run at `path` and what is made of it with a version's own engine; `cache` keeps converted networks.

    Raises ConfigError for a file that the node would refuse, IntegrityError for changed weights, OSError.
    """
    spec = model.card.spec
    cine = read(path, spec)
    clips = carryover.clips(cine, contrast_from=contrast_from, seed=seed)
    registry.verify(model.folder)
    scorer = tested(model, device=device, precision="fp32", cache=cache)
    variants = carryover.variants(spec, len(cine), contrast_from, seed)
    rows = []
    for clip in clips:
        scores = scorer.score(np.stack([carryover.sampled(clip.cine, variant, spec) for variant in variants]))
        misses = sum(outcome_of(score.p_unsatisfactory, model.card.threshold) is not clip.wanted for score in scores)
        logits = tuple(score.logit for score in scores)
        rows.append(Row(kind=clip.kind, wanted=clip.wanted, logits=logits, misses=misses))
    return Carried(model=str(model.ref), threshold=model.card.threshold, variants=variants, rows=tuple(rows))


def read(path: Path, spec: FrameSpec | None = None) -> Frames:
    """Every frame of a cine in display grey uint8 [T,H,W], as the node shows it.

    Raises ConfigError where it refuses it; without `spec` whether it is eligible is not asked.
    """
    inspected = read_header(path)
    if isinstance(inspected, Refused):
        raise _refused(path, inspected)
    if spec is not None and isinstance(decision := eligibility(inspected.header, spec), Refused):
        raise _refused(path, decision)
    stored = decode_frames(path, inspected, range(1, inspected.shape[2] + 1))
    if isinstance(stored, Refused):
        raise _refused(path, stored)
    return to_display(stored, display_lut(inspected.voi, inspected.stored))


def _refused(path: Path, why: Refused) -> ConfigError:
    return ConfigError(f"{path}: the node would refuse it: {why.reason.value}, {why.detail}")


def rendered(found: Carried) -> str:
    """The table and what follows from it, as text."""
    return "\n".join((aligned(_HEADER, list(_cells(found))), "", *_summary(found)))


def _cells(found: Carried) -> Iterator[Sequence[str]]:
    for row in found.rows:
        logits = [f"{value:+.2f}" for value in (min(row.logits), median(row.logits), max(row.logits))]
        near = str(found.variants[row.nearest])
        yield row.kind, row.wanted.value, str(len(row.logits)), *logits, str(row.misses), near


def _summary(found: Carried) -> Iterator[str]:
    bound = math.log(found.threshold / (1.0 - found.threshold))
    yield f"{found.model}: {len(found.variants)} variants of {len(found.rows)} cines"
    yield f"threshold {found.threshold:.3f}, a logit of {bound:+.2f}"
    yield f"worst logit of positives {found.highest_positive:+.2f}, of negatives {found.lowest_negative:+.2f}"
    yield f"smallest gap {found.gap:+.2f}, promised {GAP:g}; under one variant {found.gap_by_variant:+.2f}"
    yield f"of cines made alike, under one variant {found.gap_alike:+.2f}"
    yield f"misses {sum(found.misses.values())} of {sum(len(row.logits) for row in found.rows)}"
    yield "the promise is kept" if found.kept else f"the promise is broken: {', '.join(found.breaches)}"
