"""What could tell a simulated clip's label without its vessels: header fields as numbers, and how well such numbers tell it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.stats import rankdata
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MOST: Final = 0.65  # the AUC above which the generator is to be mended
# Who it is, not what it is like: told by the number of the patient, or by a hash.
_IDENTITY: Final = frozenset({"PatientID", "PatientName", "AccessionNumber", "StudyID", "PixelData", "NumberOfFrames"})

Numbers = NDArray[np.float64]
Labels = NDArray[np.bool_]


def header_fields(ds: Dataset) -> dict[str, str]:
    """Every element of `ds` as text but UIDs, names and pixels; of several values the first."""
    found = {}
    for element in ds:
        if element.VR in ("UI", "SQ") or element.keyword in _IDENTITY:
            continue
        value = element.value
        several = not isinstance(value, str) and isinstance(value, Sequence)
        found[element.keyword] = str(value[0] if several else value)
    return found


def table(rows: Sequence[Mapping[str, object]]) -> tuple[list[str], Numbers]:
    """The fields of `rows` and their values [N,F]: numbers as they are, words by their place in the alphabet, -1 for none."""
    names = sorted({name for row in rows for name in row})
    return names, np.stack([_column([row.get(name) for row in rows]) for name in names], axis=1)


def _column(values: Sequence[object]) -> Numbers:
    try:
        return np.array([-1.0 if v is None else float(v) for v in values])  # type: ignore[arg-type]
    except ValueError:
        places = {word: place for place, word in enumerate(sorted({str(v) for v in values if v is not None}))}
        return np.array([-1.0 if v is None else float(places[str(v)]) for v in values])


def models() -> dict[str, Any]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
        "boosting": GradientBoostingClassifier(n_estimators=60, max_depth=2, subsample=0.7, random_state=0),
    }


def guessed(model: Any, values: Numbers, labels: Labels, groups: NDArray[np.int_]) -> Numbers:
    """What `model` guesses of each row when it has seen the other groups only."""
    found = cross_val_predict(model, values, labels, groups=groups, cv=GroupKFold(5), method="predict_proba")
    return np.asarray(found[:, 1], dtype=np.float64)


def auc(model: Any, values: Numbers, labels: Labels, groups: NDArray[np.int_]) -> float:
    return float(roc_auc_score(labels, guessed(model, values, labels, groups)))


def single(values: Numbers, labels: Labels) -> Numbers:
    """The AUC of each column of `values` [N,F] alone, in the better direction."""
    return _single(np.asarray(rankdata(values, axis=0)), labels)


def _single(ranks: Numbers, labels: Labels) -> Numbers:
    area = _area(ranks, labels)
    return np.maximum(area, 1.0 - area)


def _area(ranks: Numbers, labels: Labels) -> Numbers:
    bad = int(labels.sum())
    return np.asarray((ranks[labels].sum(axis=0) - bad * (bad + 1) / 2) / (bad * (len(labels) - bad)))


def by_chance(values: Numbers, labels: Labels, draws: int = 200) -> float:
    """The 95th percentile of the best single column's AUC when the labels are shuffled."""
    rng, ranks = np.random.default_rng(0), np.asarray(rankdata(values, axis=0))
    return float(np.percentile([_single(ranks, rng.permutation(labels)).max() for _ in range(draws)], 95))


def interval(guess: Numbers, labels: Labels, groups: NDArray[np.int_], draws: int = 300) -> tuple[float, float]:
    """The 95 % interval of the AUC of `guess` over draws of whole groups."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = []
    for _ in range(draws):
        drawn = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        if 0 < labels[drawn].sum() < len(drawn):
            found.append(float(_area(np.asarray(rankdata(guess[drawn])), labels[drawn])))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
