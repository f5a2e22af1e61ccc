"""Scores of a trained network to predictions and metrics: thresholds and temperature are frozen before any test is scored."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.core.errors import ConfigError
from training import baseline, checkpoint, gaze, groups, loop, metrics, network, sanity
from training.bootstrap import Values
from training.calibration import calibration, fit_temperature, probabilities
from training.data.cines import Clips
from training.fitting import taught
from training.run import EXAMPLES, METRICS, PREDICTIONS, SANITY, WEIGHTS, Run, Say

_EDGE: Final = 1e-4
SPECIFICITY: Final = 0.95
_EACH: Final = 2
_MOMENTS: Final = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One part's clips with their logits."""

    name: str
    clips: Clips
    indices: tuple[int, ...]
    logits: Values

    @property
    def labels(self) -> Values:
        """1 where unsatisfactory."""
        return self.clips.labels[list(self.indices)].astype(np.float64)

    @property
    def scores(self) -> Values:
        """P(unsatisfactory)."""
        return probabilities(self.logits)


def trained(run: Run) -> nn.Module:
    """The run's network with its weights. Raises ConfigError where it has none yet."""
    if not (run.folder / WEIGHTS).exists():
        raise ConfigError(f"{run.folder}: not trained yet; `fit` it first")
    return checkpoint.load_weights(network.build(run.recipe.model, 0.0), run.folder / WEIGHTS)


def evaluate(run: Run, workers: int, say: Say, *, device: torch.device, independent: Path | None = None) -> dict[str, object]:
    """Evaluate the run on validation and test, and on an independent cohort; writes predictions, metrics and examples.

    The independent cohort is a manifest's, or the unseen simulated one where the run is on simulated cines.
    """
    model = trained(run)

    def scored(name: str, clips: Clips, indices: tuple[int, ...]) -> Scored:
        logits = loop.score(run.recipe, model, clips, indices, device=device)
        return Scored(name=name, clips=clips, indices=indices, logits=logits)

    clips = run.clips(workers, say)
    split = run.split(clips)
    validation = scored("validation", clips, taught(run, clips, split)[1])
    frozen = freeze(validation)
    parts = [validation, scored("test", clips, split.test)]
    if independent is not None:
        other = run.read(independent, "independent", workers, say)
        _apart(clips, other)
        parts.append(scored("independent", other, tuple(range(len(other.labels)))))
    elif run.manifest is None:
        other = run.unseen(workers, say)
        parts.append(scored("unseen", other, tuple(range(len(other.labels)))))
    found: dict[str, object] = {**frozen, **{part.name: _figures(run, part, frozen) for part in parts}}
    if run.manifest is None:
        found["unseen_auc_by_kind"] = _auc_by_kind(parts[-1])
        found["unseen_seed"] = run.unseen_seed
    _write_predictions(run.folder / PREDICTIONS, parts)
    _write_examples(run.folder / EXAMPLES, parts[-1], frozen["threshold"])
    (run.folder / METRICS).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def _apart(own: Clips, other: Clips) -> None:
    """Raise ConfigError where an independent cohort shares a patient or a picture with the run's own."""
    for what, mine, theirs in (("patients", own.patients, other.patients), ("pictures", own.pixels, other.pixels)):
        shared = set(mine) & set(theirs)
        if shared:
            raise ConfigError(f"independent: {len(shared)} {what} are in the run's own cohort too")


def check(run: Run, workers: int, say: Say, *, device: torch.device) -> dict[str, object]:
    """The sanity checks on the test part, to sanity.json: AUC of changed clips, and of a baseline without a network.

    Of simulated clips also `vessels` (AUC with vessels removed and alone) and `grad_cam` (mass on the native tree by kind).
    """
    model = trained(run)
    clips = run.clips(workers, say)
    split = run.split(clips)
    found: dict[str, object] = {**sanity.aucs(run.recipe, model, clips, split.test, seed=run.seed, device=device)}
    found["brightness and vesselness, no network"] = baseline.auc(clips, split, run.seed)
    if run.manifest is None:
        found |= _looked(run, model, clips, split.test, say, device)
    (run.folder / SANITY).write_text(json.dumps(metrics.plain(found), indent=2) + "\n", encoding="utf-8")
    return found


def _looked(
    run: Run, model: nn.Module, clips: Clips, test: tuple[int, ...], say: Say, device: torch.device
) -> dict[str, object]:
    """What the network does without the vessels, and where it looks, on some clips of the test part."""
    indices = gaze.chosen(test, run.seed)
    say(f"sanity: drawing the vessels of {len(indices)} clips of the test part")
    drawn = gaze.drawn(run.recipe, clips, indices, run.plans())
    vessels = gaze.aucs(run.recipe, model, clips, indices, drawn, seed=run.seed, device=device)
    fresh = gaze.untrained(run.recipe, clips, indices, seed=run.seed, device=device)
    both = {"trained": model, "random": fresh}
    return {
        "vessels": {"clips": len(indices), "auc": vessels},
        "grad_cam": gaze.on_tree(run.recipe, both, clips, indices, drawn, seed=run.seed, device=device),
    }


def freeze(validation: Scored) -> dict[str, float]:
    """Everything that is chosen, from validation alone: both operating points and the temperature."""

    def inside(threshold: float) -> float:
        # A card's threshold lies strictly between 0 and 1, also where validation separates without a fault.
        return float(np.clip(threshold, _EDGE, 1.0 - _EDGE))

    labels, scores = validation.labels, validation.scores
    return {
        "threshold": inside(metrics.best_threshold(labels, scores)),
        "threshold_specificity_95": inside(metrics.threshold_at_specificity(labels, scores, SPECIFICITY)),
        "temperature": fit_temperature(labels, validation.logits),
    }


def _figures(run: Run, part: Scored, frozen: dict[str, float]) -> dict[str, object]:
    patients = [part.clips.patients[i] for i in part.indices]
    kinds = [part.clips.kinds[i] for i in part.indices]
    report = metrics.report(part.labels, part.scores, patients, frozen["threshold"], seed=run.seed)
    second = metrics.report(part.labels, part.scores, patients, frozen["threshold_specificity_95"], seed=run.seed)
    by_kind = metrics.by_kind(part.labels, part.scores, kinds, frozen["threshold"])
    graded = [part.clips.graded[i] for i in part.indices] if part.clips.graded else [False] * len(part.indices)
    vendors = [part.clips.vendors[i] for i in part.indices] if part.clips.vendors else [""] * len(part.indices)
    return {
        **report.to_json(),
        "at_specificity_95": second.to_json(),
        "calibration": calibration(part.labels, part.logits, frozen["temperature"]),
        "by_kind": {kind: {k: None if math.isnan(v) else v for k, v in row.items()} for kind, row in by_kind.items()},
        "bands": groups.bands(part.labels, part.scores, patients, graded, frozen["threshold"], seed=run.seed),
        "auc_by_vendor": groups.by_vendor(part.labels, part.scores, patients, vendors, seed=run.seed),
    }


def _auc_by_kind(part: Scored) -> dict[str, float]:
    kinds = [part.clips.kinds[i] for i in part.indices]
    rows = metrics.by_kind(part.labels, part.scores, kinds, 0.5)
    return {kind: round(row["auc"], 4) for kind, row in rows.items() if not math.isnan(row["auc"])}


def _write_predictions(path: Path, parts: list[Scored]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("part", "clip", "patient", "kind", "unsatisfactory", "logit", "p_unsatisfactory", "graded"))
        for part in parts:
            graded = [str(int(part.clips.graded[i])) for i in part.indices] if part.clips.graded else [""] * len(part.indices)
            for index, logit, score, band in zip(part.indices, part.logits, part.scores, graded, strict=True):
                facts = (part.clips.name(index), part.clips.patients[index], part.clips.kinds[index])
                writer.writerow((part.name, *facts, int(part.clips.labels[index]), float(logit), float(score), band))


def _write_examples(path: Path, part: Scored, threshold: float) -> None:
    """A few clips of each cell of the confusion matrix, three frames each, so that Figure 2 is drawn from the folder alone."""
    called, wrong = part.scores >= threshold, part.labels > 0
    frames, cells, scores = [], [], []
    for cell, mask in (("TP", called & wrong), ("FN", ~called & wrong), ("FP", called & ~wrong), ("TN", ~called & ~wrong)):
        for place in np.flatnonzero(mask)[:_EACH]:
            clip = part.clips.centred(part.indices[int(place)])
            frames.append(_moments(clip))
            cells.append(cell)
            scores.append(float(part.scores[place]))
    np.savez_compressed(path, frames=np.stack(frames), cells=np.array(cells), scores=np.array(scores))


def _moments(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return clip[[round(share * (len(clip) - 1)) for share in _MOMENTS]]
