"""What brightness and vesselness alone reach: within 0.03 of a network's AUC the cines are too easy to need one."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training import metrics
from training.data.cines import Clips
from training.data.splits import Split

NAME: Final = "brightness and vesselness, no network"
TOO_NEAR: Final = 0.03
_SIGMAS_PX: Final = (1.0, 2.0, 3.0)
_PERCENTILES: Final = (5, 25, 50, 75, 95)
_MOST_CLIPS: Final = 1500  # of the training part: these few features need no more


def vesselness(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much a pixel lies on a dark line [S,S]: the larger eigenvalue of the Hessian, the largest over three widths."""
    grey = frame.astype(np.float32)
    found = np.zeros_like(grey)
    for sigma in _SIGMAS_PX:
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        xx, yy = cv2.Sobel(smooth, cv2.CV_32F, 2, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 2)
        xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1)
        larger = (xx + yy) / 2.0 + np.sqrt(((xx - yy) / 2.0) ** 2 + xy**2)
        found = np.maximum(found, sigma**2 * larger)
    return np.asarray(found, dtype=np.float32)


def features(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness, its change over time, and vesselness of one clip [T,S,S], as one row of numbers."""
    grey = clip.astype(np.float64)
    lines = np.stack([vesselness(frame) for frame in clip])
    strong = np.percentile(lines, (90, 97, 99), axis=(1, 2))
    change = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2)) if len(grey) > 1 else np.zeros(1)
    brightness = (grey.mean(), grey.std(), *np.percentile(grey, _PERCENTILES), np.ptp(grey.mean(axis=(1, 2))))
    over_time = (strong.mean(axis=1), strong.max(axis=1), strong.min(axis=1), np.ptp(strong, axis=1))
    return np.concatenate([brightness, (change.mean(), change.max(), lines.mean()), *over_time])


def auc(clips: Clips, split: Split, seed: int) -> float:
    """The test AUC of logistic regression or boosted trees on those features, whichever is better on validation."""

    def table(indices: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        labels = clips.labels[list(indices)].astype(np.float64)
        return np.stack([features(clips.centred(i)) for i in indices]), labels

    taught = np.random.default_rng([seed, 6]).permutation(np.asarray(split.train, dtype=np.int64))[:_MOST_CLIPS].tolist()
    train, validation, test = (table(part) for part in (taught, split.validation, split.test))
    scaled = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    trees = HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    reached = []
    for model in (scaled, trees):
        model.fit(*train)
        scores = [model.predict_proba(part[0])[:, 1] for part in (validation, test)]
        reached.append((metrics.auc(validation[1], scores[0]), metrics.auc(test[1], scores[1])))
    return max(reached)[1]
