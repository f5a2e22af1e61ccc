"""A part's figures by groups of its clips: clear ones and those of the graded band apart, and each vendor's. Pure functions.

Intervals are over patients, as everywhere; a figure that a small group does not define is null in JSON.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.bootstrap import Values

CLEAR, GRADED = "clear", "graded"
_AUC: Final = ("clips", "unsatisfactory", "auc", "auc_low", "auc_high")
_SHOWN: Final = (*_AUC, "threshold", *metrics.FIGURES[1:])


def bands(
    labels: Values, scores: Values, patients: Sequence[str], graded: Sequence[bool], threshold: float, *, seed: int
) -> dict[str, dict[str, Any]]:
    """The paper's figures of clear and of graded clips; nothing where no clip is graded."""
    band = np.asarray(graded, dtype=bool)
    if not band.any():
        return {}
    found = {}
    for name, mine in ((CLEAR, ~band), (GRADED, band)):
        if mine.any():
            report = _of(mine, labels, scores, patients, threshold, seed)
            intervals = {figure: report["intervals"][figure] for figure in metrics.FIGURES}
            found[name] = {**{key: report[key] for key in _SHOWN}, "intervals": intervals}
    return found


def by_vendor(
    labels: Values, scores: Values, patients: Sequence[str], vendors: Sequence[str], *, seed: int
) -> dict[str, dict[str, Any]]:
    """The AUC of each vendor's clips; nothing where no vendor is known."""
    names = np.asarray(vendors)
    found = {}
    for vendor in sorted(set(vendors) - {""}):
        report = _of(names == vendor, labels, scores, patients, 0.5, seed)
        found[vendor] = {key: report[key] for key in _AUC}
    return found


def _of(
    mine: NDArray[np.bool_], labels: Values, scores: Values, patients: Sequence[str], threshold: float, seed: int
) -> dict[str, Any]:
    whose = [patient for patient, here in zip(patients, mine.tolist(), strict=True) if here]
    return metrics.report(labels[mine], scores[mine], whose, threshold, seed=seed).to_json()
