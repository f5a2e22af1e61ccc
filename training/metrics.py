"""What is reported of scores at a frozen threshold; unsatisfactory is the positive class. Pure functions over arrays.

Every interval is of the 95 % kind, by drawing patients with replacement (`training.bootstrap`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training import bootstrap
from training.bootstrap import Values

ROUNDS: Final = 2000
PREVALENCES: Final = (0.12, 0.17)  # of the paper's independent set and of its development set
FIGURES: Final = ("auc", "accuracy", "precision", "sensitivity", "specificity", "f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures at one threshold, with 95 % intervals over patients. An undefined ratio is NaN.

    `precision_at` is the precision that the same sensitivity and specificity would give at other prevalences.
    """

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
    excluded: float
    kept_conform: float
    precision_at: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, object]:
        """The figures under their names; JSON has no NaN, so an undefined ratio is null."""
        return {name: plain(value) for name, value in asdict(self).items()}


def plain(value: object) -> object:
    """`value` as JSON can hold it: NaN becomes null, also within mappings and tuples."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def auc(labels: Values, scores: Values) -> float:
    """The area under the ROC by ranks, ties counted half; NaN without both classes."""
    return float(bootstrap.weighted_auc(np.ones((1, len(labels))), labels, scores)[0])


def auc_interval(
    labels: Values, scores: Values, patients: Sequence[str], *, seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """The 95 % interval by drawing patients, not clips, with replacement: cines of one patient are alike."""
    return bootstrap.interval(bootstrap.auc_rounds(bootstrap.draw(patients, seed=seed, rounds=rounds), labels, scores))


def counts(labels: Values, scores: Values, threshold: float) -> tuple[int, int, int, int]:
    """True positive, false negative, false positive and true negative; a score at the threshold is positive."""
    tp, fn, fp, tn = (int(cell.sum()) for cell in bootstrap.cells(labels, scores >= threshold).T)
    return tp, fn, fp, tn


def figures(cells: NDArray[np.generic]) -> dict[str, Values]:
    """The paper's equations 1 to 5 on confusion counts [..., (TP, FN, FP, TN)]; an undefined ratio is NaN.

    `excluded` is the share that is called unsatisfactory, `kept_conform` the share of the others that is satisfactory.
    """
    tp, fn, fp, tn = np.moveaxis(cells.astype(np.float64), -1, 0)
    every = tp + fn + fp + tn
    pairs = {
        "accuracy": (tp + tn, every),
        "precision": (tp, tp + fp),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "f1": (2.0 * tp, 2.0 * tp + fp + fn),
        "excluded": (tp + fp, every),
        "kept_conform": (tn, tn + fn),
    }
    return {name: np.divide(a, b, out=np.full_like(b, np.nan), where=b > 0) for name, (a, b) in pairs.items()}


def precision_at(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Bayes' precision where a share `prevalence` of all clips is unsatisfactory."""
    called = sensitivity * prevalence + (1.0 - specificity) * (1.0 - prevalence)
    return sensitivity * prevalence / called if called > 0 else float("nan")


def best_threshold(labels: Values, scores: Values) -> float:
    """The threshold of the highest F1, in the middle of the gap to the next lower score, so that it is not on a clip's edge."""
    levels, cells = _all_thresholds(labels, scores)
    best = int(np.argmax(np.nan_to_num(figures(cells)["f1"])))
    return _between(levels, best)


def steady_threshold(labels: Values, scores: Values, patients: Sequence[str], *, seed: int, rounds: int = ROUNDS) -> float:
    """The mean log-odds of `best_threshold` over patients drawn with replacement, as a probability (bagging, Breiman 1996).

    The F1 of a few hundred clips is flat near its top, so that the single best threshold hangs on one or two of them. This one
    may pass a lone outlier by, also where all clips could be told apart.
    """
    draws, every = bootstrap.draw(patients, seed=seed, rounds=rounds), np.arange(len(labels))
    drawn = (np.repeat(every, weights[draws.owner]) for weights in draws.weights)
    found = np.array([best_threshold(labels[clips], scores[clips]) for clips in drawn if 0 < labels[clips].sum() < len(clips)])
    edge = np.finfo(np.float64).eps
    inside = np.clip(found if len(found) else best_threshold(labels, scores), edge, 1.0 - edge)
    return float(1.0 / (1.0 + np.exp(-np.mean(np.log(inside) - np.log1p(-inside)))))


def threshold_at_specificity(labels: Values, scores: Values, specificity: float) -> float:
    """The lowest threshold that keeps at least `specificity` on these clips; above every score where none does."""
    levels, cells = _all_thresholds(labels, scores)
    enough = np.nan_to_num(figures(cells)["specificity"], nan=1.0) >= specificity
    return _between(levels, int(np.argmax(enough))) if enough.any() else float((levels[-1] + 1.0) / 2.0)


def _all_thresholds(labels: Values, scores: Values) -> tuple[Values, NDArray[np.float64]]:
    """Every distinct score, ascending, and the confusion counts [levels, 4] of calling it and all above positive."""
    levels, place = np.unique(scores, return_inverse=True)
    wrong = np.bincount(place, weights=labels > 0, minlength=len(levels))
    fine = np.bincount(place, weights=labels <= 0, minlength=len(levels))
    tp, fp = np.cumsum(wrong[::-1])[::-1], np.cumsum(fine[::-1])[::-1]
    return levels, np.stack([tp, wrong.sum() - tp, fp, fine.sum() - fp], axis=-1)


def _between(levels: Values, index: int) -> float:
    below = levels[index - 1] if index else 0.0
    return float((levels[index] + below) / 2.0)


def report(
    labels: Values, scores: Values, patients: Sequence[str], threshold: float, *, seed: int, rounds: int = ROUNDS
) -> Report:
    """Every figure of the paper's Table 2 at a threshold that was frozen before."""
    draws = bootstrap.draw(patients, seed=seed, rounds=rounds)
    per_clip = bootstrap.cells(labels, scores >= threshold)
    one = {name: float(value) for name, value in figures(per_clip.sum(axis=0)).items()}
    many = figures(bootstrap.totals(draws, per_clip)) | {"auc": bootstrap.auc_rounds(draws, labels, scores)}
    intervals = {name: bootstrap.interval(values) for name, values in sorted(many.items())}
    at = {f"{p:.2f}": precision_at(one["sensitivity"], one["specificity"], p) for p in PREVALENCES}
    return Report(
        clips=len(labels),
        unsatisfactory=int(labels.sum()),
        threshold=threshold,
        auc=auc(labels, scores),
        auc_low=intervals["auc"][0],
        auc_high=intervals["auc"][1],
        precision_at=at,
        intervals=intervals,
        **one,
    )


def by_kind(labels: Values, scores: Values, kinds: Sequence[str], threshold: float) -> dict[str, dict[str, float]]:
    """Per kind: its clips, how many of them are called unsatisfactory, the share that is called rightly, and an AUC.

    The AUC is of a bad kind's clips against all satisfactory ones; NaN for kinds of satisfactory clips.
    """
    names, fine = np.asarray(kinds), labels <= 0
    found = {}
    for kind in sorted(set(kinds)):
        mine = names == kind
        called = scores[mine] >= threshold
        right = called == (labels[mine] > 0)
        against = (mine & ~fine) | fine
        found[kind] = {
            "clips": int(mine.sum()),
            "called_unsatisfactory": int(called.sum()),
            "right": float(right.mean()),
            "auc": auc(labels[against], scores[against]) if (mine & ~fine).any() else float("nan"),
        }
    return found
