"""Scores of a trained network to predictions and metrics: the threshold is frozen on validation before any test is scored."""

import csv
import json
import math
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import nn

from training import loop, metrics, network
from training.data.cines import Clips
from training.metrics import Values
from training.run import METRICS, PREDICTIONS, WEIGHTS, Run, Say

_EDGE = 1e-4


def evaluate(run: Run, workers: int, say: Say) -> dict[str, object]:
    """Evaluate the run's weights on validation, on the split's test part and on the unseen cohort; writes both files."""
    model: nn.Module = network.build(run.recipe.model, 0.0)
    model.load_state_dict(load_file(run.folder / WEIGHTS))
    clips = run.clips(workers, say)
    split = run.split(clips)
    validation = probabilities(loop.score(run.recipe, model, clips, split.validation))
    labels = _labels(clips, split.validation)
    # A card's threshold lies strictly between 0 and 1, also where validation separates without a fault.
    threshold = float(np.clip(metrics.best_threshold(labels, validation), _EDGE, 1.0 - _EDGE))
    rows = _rows("validation", clips, split.validation, validation)
    found: dict[str, object] = {
        "threshold": threshold,
        "validation": _figures(run, clips, split.validation, validation, threshold),
    }
    unseen = run.unseen(workers, say)
    for name, part, indices in (("test", clips, split.test), ("unseen", unseen, tuple(range(len(unseen.labels))))):
        scores = probabilities(loop.score(run.recipe, model, part, indices))
        found[name] = _figures(run, part, indices, scores, threshold)
        rows += _rows(name, part, indices, scores)
    found["unseen_auc_by_kind"] = _by_kind([row for row in rows if row[0] == "unseen"])
    found["unseen_seed"] = run.unseen_seed
    _write_predictions(run.folder / PREDICTIONS, rows)
    (run.folder / METRICS).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def probabilities(logits: Values) -> Values:
    """P(unsatisfactory) of logits, the same sigmoid as the node's scorer."""
    return np.array([1.0 / (1.0 + math.exp(-max(min(value, 60.0), -60.0))) for value in logits])


Row = tuple[str, str, str, int, float]


def _labels(clips: Clips, indices: tuple[int, ...]) -> Values:
    return clips.labels[list(indices)].astype(np.float64)


def _figures(
    run: Run, clips: Clips, indices: tuple[int, ...], scores: Values, threshold: float
) -> dict[str, float | int | None]:
    patients = [clips.patients[i] for i in indices]
    report = metrics.report(_labels(clips, indices), scores, patients, threshold, seed=run.seed).to_json()
    # JSON has no NaN: an undefined ratio is null.
    return {name: None if math.isnan(value) else value for name, value in report.items()}


def _rows(part: str, clips: Clips, indices: tuple[int, ...], scores: Values) -> list[Row]:
    return [
        (part, clips.patients[i], clips.kinds[i], int(clips.labels[i]), float(score))
        for i, score in zip(indices, scores, strict=True)
    ]


def _by_kind(rows: list[Row]) -> dict[str, float]:
    """The AUC of each unsatisfactory kind against all satisfactory clips."""
    good = [row[4] for row in rows if row[3] == 0]
    found = {}
    for kind in sorted({row[2] for row in rows if row[3] == 1}):
        bad = [row[4] for row in rows if row[2] == kind]
        labels = np.concatenate([np.ones(len(bad)), np.zeros(len(good))])
        found[kind] = round(metrics.auc(labels, np.array(bad + good)), 4)
    return found


def _write_predictions(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("part", "patient", "kind", "unsatisfactory", "p_unsatisfactory"))
        writer.writerows(rows)
