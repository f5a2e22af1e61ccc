"""DeLong's covariance of AUCs, plain (DeLong 1988) and for clips clustered in patients (Obuchowski 1997, Biometrics 53:567)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """AUCs [K] of K models on the same clips, and their covariance [K, K]."""

    auc: Values
    covariance: NDArray[np.float64]

    def standard_error(self, model: int) -> float:
        """Of one AUC."""
        return math.sqrt(max(float(self.covariance[model, model]), 0.0))

    def p_value(self, one: int, other: int) -> float:
        """Two-sided, that the AUCs of two models are equal; 1 where they do not differ at all."""
        contrast = np.zeros(len(self.auc))
        contrast[[one, other]] = 1.0, -1.0
        variance = float(contrast @ self.covariance @ contrast)
        distance = abs(float(contrast @ self.auc))
        if variance <= 0:
            return 1.0 if distance == 0 else 0.0
        return 2.0 * (1.0 - NormalDist().cdf(distance / math.sqrt(variance)))


def plain(labels: Values, scores: Sequence[Values]) -> Areas:
    """Clips taken as independent. Needs at least two clips of each class."""
    return clustered(labels, scores, [str(index) for index in range(len(labels))])


def clustered(labels: Values, scores: Sequence[Values], patients: Sequence[str]) -> Areas:
    """Clips of one patient may be alike, also across the classes. `scores`: one array per model.

    With one clip per patient this is DeLong's own covariance.
    """
    wrong = labels > 0
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    count = int(owner.max()) + 1
    positives, negatives = int(wrong.sum()), int((~wrong).sum())
    above, below, aucs = [], [], []
    for one in scores:
        components = _components(wrong, np.asarray(one, dtype=np.float64))
        area = float(components[wrong].mean())
        centred = components - area
        aucs.append(area)
        above.append(np.bincount(owner, weights=centred * wrong, minlength=count))
        below.append(np.bincount(owner, weights=centred * ~wrong, minlength=count))
    x, y = np.stack(above), np.stack(below)
    with_x, with_y = len(np.unique(owner[wrong])), len(np.unique(owner[~wrong]))
    cross = x @ y.T * _unbiased(count)
    covariance = (
        x @ x.T * _unbiased(with_x) / positives**2
        + y @ y.T * _unbiased(with_y) / negatives**2
        + (cross + cross.T) / (positives * negatives)
    )
    return Areas(auc=np.array(aucs), covariance=covariance)


def _unbiased(count: int) -> float:
    return count / (count - 1) if count > 1 else float("nan")


def _components(wrong: NDArray[np.bool_], scores: Values) -> Values:
    """Structural components: for each positive the share of negatives below it, for each negative of positives above it."""
    found = np.empty(len(scores))
    fine, bad = np.sort(scores[~wrong]), np.sort(scores[wrong])
    low = np.searchsorted(fine, scores[wrong], side="left") + np.searchsorted(fine, scores[wrong], side="right")
    high = np.searchsorted(bad, scores[~wrong], side="left") + np.searchsorted(bad, scores[~wrong], side="right")
    found[wrong] = low / (2.0 * len(fine))
    found[~wrong] = 1.0 - high / (2.0 * len(bad))
    return found
