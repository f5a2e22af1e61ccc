"""The patient-clustered bootstrap: patients are drawn with replacement, and every clip of a patient comes along.

All rounds are weights, so that a figure of 2,000 rounds is a matrix product or a cumulative sum and no loop over clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_CHUNK: Final = 4_000_000  # weights that are held at once, so that 20,000 clips stay below 100 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """`weights` [rounds, patients]: how often each patient is drawn; `owner` [clips]: whose each clip is."""

    weights: NDArray[np.int64]
    owner: NDArray[np.int64]


def draw(patients: Sequence[str], *, seed: int, rounds: int) -> Draws:
    """As many patients as there are, `rounds` times. The same patients and seed give the same rounds."""
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    count = len(names)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=rounds)
    return Draws(weights=weights, owner=owner)


def cells(labels: Values, called: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Each clip's place in the confusion matrix, one-hot [clips, (TP, FN, FP, TN)]."""
    wrong = labels > 0
    return np.stack([called & wrong, ~called & wrong, called & ~wrong, ~called & ~wrong], axis=-1).astype(np.int64)


def totals(draws: Draws, per_clip: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of integers [clips, K] in every round: [rounds, K]."""
    per_patient = np.zeros((draws.weights.shape[1], per_clip.shape[1]), dtype=np.int64)
    np.add.at(per_patient, draws.owner, per_clip)
    return np.asarray(draws.weights @ per_patient, dtype=np.int64)


def weighted_auc(weights: NDArray[np.generic], labels: Values, scores: Values) -> Values:
    """The AUC under every row of `weights` [rounds, clips], ties counted half; NaN where a class has no weight."""
    order = np.argsort(scores, kind="stable")
    sorted_scores, wrong = scores[order], labels[order] > 0
    weighted = weights[:, order].astype(np.float64)
    below = np.concatenate([np.zeros((len(weighted), 1)), np.cumsum(weighted * ~wrong, axis=1)], axis=1)
    # Of clips with one score, those before the first are below, and the tied ones count half.
    first = np.searchsorted(sorted_scores, sorted_scores, side="left")
    last = np.searchsorted(sorted_scores, sorted_scores, side="right")
    pairs = (weighted * wrong * (below[:, first] + below[:, last])).sum(axis=1) / 2.0
    every = (weighted * wrong).sum(axis=1) * below[:, -1]
    return np.asarray(np.divide(pairs, every, out=np.full(len(pairs), np.nan), where=every > 0))


def auc_rounds(draws: Draws, labels: Values, scores: Values) -> Values:
    """The AUC of every round [rounds]."""
    step = max(_CHUNK // max(len(labels), 1), 1)
    parts = [
        weighted_auc(draws.weights[at : at + step][:, draws.owner], labels, scores) for at in range(0, len(draws.weights), step)
    ]
    return np.concatenate(parts)


def interval(rounds: Values) -> tuple[float, float]:
    """The percentile interval of 95 %, of the rounds in which the figure is defined; NaN without one."""
    defined = rounds[~np.isnan(rounds)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure of one model minus that of another on the same clips; `p` is two-sided."""

    value: float
    low: float
    high: float
    p: float

    @property
    def covers_zero(self) -> bool:
        """Whether the interval says that either may be the better; then no ranking is claimed."""
        return not (self.low > 0 or self.high < 0)


def difference(value: float, rounds: Values) -> Difference:
    """A difference with its interval and p from paired `rounds`: both models under the same drawn patients."""
    defined = rounds[~np.isnan(rounds)]
    low, high = interval(defined)
    tail = min((defined <= 0).sum(), (defined >= 0).sum())
    # One more in both counts: no finite number of rounds proves p = 0 (Davison and Hinkley 1997, 4.2).
    return Difference(value=value, low=low, high=high, p=min(1.0, 2.0 * (float(tail) + 1.0) / (len(defined) + 1.0)))


def auc_difference(draws: Draws, labels: Values, one: Values, other: Values) -> Difference:
    """AUC of `one` minus AUC of `other`, scores of the same clips, by the paired clustered bootstrap."""
    whole = np.ones((1, len(labels)))
    value = float(weighted_auc(whole, labels, one)[0] - weighted_auc(whole, labels, other)[0])
    return difference(value, auc_rounds(draws, labels, one) - auc_rounds(draws, labels, other))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (1979), in the order given."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]
