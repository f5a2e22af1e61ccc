"""What is reported of scores; unsatisfactory is the positive class. Pure functions over arrays."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures at one threshold, with the 95 % interval of the AUC over patients. An undefined ratio is NaN."""

    clips: int
    unsatisfactory: int
    threshold: float
    auc: float
    auc_low: float
    auc_high: float
    accuracy: float
    sensitivity: float
    specificity: float
    precision: float
    f1: float

    def to_json(self) -> dict[str, float | int]:
        """The figures under their names."""
        return asdict(self)


def auc(labels: Values, scores: Values) -> float:
    """The area under the ROC by ranks, ties counted half; NaN without both classes."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[labels > 0].sum() - positive * (positive + 1) / 2.0) / (positive * negative))


def auc_interval(
    labels: Values, scores: Values, patients: Sequence[str], *, seed: int, rounds: int = 1000
) -> tuple[float, float]:
    """The 95 % interval by drawing patients, not clips, with replacement: cines of one patient are alike."""
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    members = [np.flatnonzero(owner == k) for k in range(len(names))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        chosen = np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])
        value = auc(labels[chosen], scores[chosen])
        if not np.isnan(value):
            values.append(value)
    if not values:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def counts(labels: Values, scores: Values, threshold: float) -> tuple[int, int, int, int]:
    """True positive, false negative, false positive and true negative; a score at the threshold is positive."""
    called, wrong = scores >= threshold, labels > 0
    return (
        int((called & wrong).sum()),
        int((~called & wrong).sum()),
        int((called & ~wrong).sum()),
        int((~called & ~wrong).sum()),
    )


def best_threshold(labels: Values, scores: Values) -> float:
    """The threshold of the highest F1, in the middle of the gap to the next lower score, so that it is not on a clip's edge."""
    levels = np.unique(scores)
    f1 = []
    for level in levels:
        tp, fn, fp, _ = counts(labels, scores, float(level))
        f1.append(2 * tp / max(2 * tp + fn + fp, 1))
    best = int(np.argmax(f1))
    below = levels[best - 1] if best else 0.0
    return float((levels[best] + below) / 2.0)


def report(
    labels: Values, scores: Values, patients: Sequence[str], threshold: float, *, seed: int, rounds: int = 1000
) -> Report:
    """Every figure of the paper's Table 2 at a threshold that was frozen before."""
    tp, fn, fp, tn = counts(labels, scores, threshold)
    low, high = auc_interval(labels, scores, patients, seed=seed, rounds=rounds)
    return Report(
        clips=len(labels),
        unsatisfactory=int(labels.sum()),
        threshold=threshold,
        auc=auc(labels, scores),
        auc_low=low,
        auc_high=high,
        accuracy=_ratio(tp + tn, len(labels)),
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        precision=_ratio(tp, tp + fp),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
    )
