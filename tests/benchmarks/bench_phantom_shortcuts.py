"""Can the label be guessed without looking at the vessels? `python -m tests.benchmarks.bench_phantom_shortcuts [--pairs N]`.

Good runs against their bad twins, matched coronary kinds only, split by pair; each set of nuisances goes to a logistic
regression and to gradient boosting. Prints JSON: the cross-validated AUC of each. Above 0.65 the generator is to be mended.
The border and the first frame may carry contrast that arrives early or flows back; frame differences carry its arrival, and
histograms its shadow: these are said as `legitimate`.
"""

import argparse
import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pydicom
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dicomqc.phantom import cohort, dicom, sight
from dicomqc.phantom.cine import render, shown
from dicomqc.phantom.cohort import Wish
from dicomqc.phantom.plan import TWIN_CAUSES, CinePlan, Kind
from dicomqc.sample.display import resize

LEGITIMATE = ("frame-difference energy", "brightness and histogram", "noise power")
SAMPLED = tuple(range(16, 47, 2))


def header(path: Path) -> list[float]:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    names = ("KVP", "XRayTubeCurrent", "ExposureTime", "PositionerPrimaryAngle", "PositionerSecondaryAngle", "FrameTime")
    names += ("HeartRate", "DistanceSourceToDetector", "IntensifierSize", "CineRate", "SeriesNumber", "InstanceNumber")
    values = [float(ds.get(name) or 0.0) for name in names]
    syntax, maker = str(ds.file_meta.TransferSyntaxUID), str(ds.Manufacturer)
    return [*values, float(syntax.rsplit(".", 1)[1]), float(len(maker)), float(ds.LossyImageCompression == "01")]


def features(plan: CinePlan) -> tuple[bool, dict[str, list[float]]]:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        # Every eighth frame: the size per frame stands for the file's, which grows with the frames alone.
        short = render(plan, range(1, plan.frames + 1, 8))
        path = dicom.write(plan, short, Path(folder) / "a.dcm")
        head, size = header(path), path.stat().st_size / len(short)
    clip = resize(shown(plan, SAMPLED), 160).astype(np.float32)
    first = resize(shown(plan, [1]), 160)[0].astype(np.float32)
    rest = clip - np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in clip])
    moves = np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2))
    border = np.concatenate([clip[:, :8].ravel(), clip[:, -8:].ravel(), clip[:, :, :8].ravel(), clip[:, :, -8:].ravel()])
    histogram = np.histogram(clip, 16, (0, 256))[0] / clip.size
    found = {
        "header": head,
        "frame count and file size": [float(plan.frames), float(size)],
        "brightness and histogram": [float(clip.mean()), float(clip.std()), *histogram.tolist()],
        "noise power": [float(np.median(np.abs(rest))), *np.percentile(np.abs(rest), [25, 75, 90]).tolist()],
        "frame-difference energy": [float(moves.mean()), float(moves.std()), float(moves.max()), float(moves.min())],
        "first frame": [*cv2.resize(first, (8, 8), interpolation=cv2.INTER_AREA).ravel().tolist(), float(first.std())],
        "border": [float(border.mean()), float(border.std()), *np.percentile(border, [5, 25, 50, 75, 95]).tolist()],
    }
    return sight.judge(plan).satisfactory, found


def twins(pairs: int) -> list[CinePlan]:
    plans: list[CinePlan] = []
    for index in range(pairs):
        cause = TWIN_CAUSES[index % len(TWIN_CAUSES)]
        plans += cohort.lay_out(8_000_011, index, [Wish(kind=Kind.CORONARY, cause=cause)])
    return plans


def aucs(values: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
        "boosting": GradientBoostingClassifier(n_estimators=60, max_depth=2, subsample=0.7, random_state=0),
    }
    found = {}
    for name, model in models.items():
        guess = cross_val_predict(model, values, labels, groups=groups, cv=GroupKFold(5), method="predict_proba")[:, 1]
        found[name] = round(float(roc_auc_score(labels, guess)), 3)
    return found


def report(pairs: int, workers: int) -> dict[str, object]:
    """AUC of each set of nuisances over `pairs` pairs, by both models."""
    plans = twins(pairs)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(features, plans, chunksize=8))
    # A pair whose members came out with one label says nothing of what tells the labels apart.
    kept = [i for i in range(0, len(rows), 2) if rows[i][0] is not rows[i + 1][0]]
    order = [j for i in kept for j in (i, i + 1)]
    labels, groups = np.array([not rows[j][0] for j in order]), np.repeat(np.arange(len(kept)), 2)
    tables = {name: np.array([rows[j][1][name] for j in order]) for name in rows[0][1]}
    found = {name: aucs(table, labels, groups) | {"legitimate": name in LEGITIMATE} for name, table in tables.items()}
    return {"pairs": len(kept), "auc": found}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=280)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(json.dumps(report(options.pairs, options.workers), indent=1))


if __name__ == "__main__":
    main()
