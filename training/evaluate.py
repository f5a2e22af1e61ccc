"""Scores of a trained network to predictions and metrics: thresholds and temperature are frozen before any test is scored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.core.errors import ConfigError
from training import (
    baseline,
    by_heart,
    checkpoint,
    distributed,
    files,
    gaze,
    groups,
    held,
    loop,
    metrics,
    network,
    predictions,
    sanity,
)
from training.calibration import calibration, fit_temperature
from training.data import splits
from training.data.cines import Clips
from training.data.headers import hashed
from training.fitting import taught
from training.predictions import Predictions
from training.progress import Say
from training.run import DIGEST, EXAMPLES, METRICS, PREDICTIONS, SANITY, WEIGHTS, Run

_EDGE: Final = 1e-4
SPECIFICITY: Final = 0.95
_EACH: Final = 2
_MOMENTS: Final = (0.0, 0.5, 1.0)


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

    def scored(clips: Clips, indices: Sequence[int]) -> Predictions:
        return Predictions.of(clips, indices, loop.score(run.recipe, model, clips, indices, device=device))

    clips = run.clips(workers, say)
    split = run.split(clips)
    parts = {"validation": scored(clips, taught(run, clips, split)[1])}
    frozen = freeze(parts["validation"], run.seed)
    parts["test"], last, shown = scored(clips, split.test), clips, split.test
    if independent is not None:
        last = run.read(independent, "independent", workers, say)
        _apart(run, clips, last)
    elif run.manifest is None:
        last = run.unseen(workers, say)
    if last is not clips:
        shown = tuple(range(len(last.labels)))
        parts["independent" if independent else "unseen"] = scored(last, shown)
    found: dict[str, object] = {**frozen, **{name: figures(part, frozen, run.seed) for name, part in parts.items()}}
    of_last = list(parts.values())[-1]
    if run.manifest is None:
        found["unseen_seed"] = run.unseen_seed
    if "unseen" in parts:
        found[f"unseen_{DIGEST}"] = splits.digest(last, shown)
        found["unseen_auc_by_kind"] = _auc_by_kind(of_last)
    if distributed.world().first:
        # What makes a run evaluated goes first and comes last: a kill leaves no old figures beside new predictions.
        (run.folder / METRICS).unlink(missing_ok=True)
        predictions.write(run.folder / PREDICTIONS, parts)
        _write_examples(run.folder / EXAMPLES, last, shown, of_last, frozen["threshold"])
        files.write_json(run.folder / METRICS, found)
    return found


def _apart(run: Run, own: Clips, other: Clips) -> None:
    """Raise ConfigError where an independent manifest's cohort shares a patient or a picture with the run's own."""
    # A manifest's patients are hashed already.
    patients = own.patients if run.manifest is not None else tuple(hashed(patient) for patient in own.patients)
    for what, mine, theirs in (("patients", patients, other.patients), ("pictures", own.pixels, other.pixels)):
        shared = set(mine) & set(theirs)
        if shared:
            raise ConfigError(f"independent: {len(shared)} {what} are in the run's own cohort too")


def check(run: Run, workers: int, say: Say, *, device: torch.device) -> dict[str, object]:
    """The sanity checks on the test part, to sanity.json: AUC of changed clips, and of a baseline without a network.

    `by_heart` are fresh weights of the network on sixteen training clips.
    Of simulated clips also `held` (one frame for the whole run), `vessels` (AUC with vessels removed and alone) and `grad_cam`
    (mass on the native tree by kind). Raises ConfigError where the run was not evaluated yet.
    """
    model = trained(run)
    if not (run.folder / METRICS).exists():
        raise ConfigError(f"{run.folder}: not evaluated yet; `evaluate` it first")
    threshold = float(files.read_json(run.folder / METRICS)["threshold"])
    clips = run.clips(workers, say)
    split = run.split(clips)
    found: dict[str, object] = {**sanity.aucs(run.recipe, model, clips, split.test, seed=run.seed, device=device)}
    train, validation = taught(run, clips, split)
    found[baseline.NAME] = baseline.auc(clips, replace(split, train=train, validation=validation), run.seed)
    say(f"sanity: fresh weights of {run.recipe.model} learn {by_heart.CLIPS} clips by heart")
    try:
        found["by_heart"] = by_heart.figures(run.recipe, clips, train, seed=run.seed, device=device)
    except loop.Diverged as error:
        say(f"sanity: they do not: {error}")
    if run.manifest is None:
        found["held"] = held.figures(run.recipe, model, clips, split.test, threshold, seed=run.seed, device=device)
        found["held_by_direction"] = held.by_direction(run.recipe, model, clips, split.test, seed=run.seed, device=device)
        found |= _looked(run, model, clips, split.test, workers, say, device)
    if distributed.world().first:
        files.write_json(run.folder / SANITY, metrics.plain(found))
    return found


def _looked(
    run: Run, model: nn.Module, clips: Clips, test: tuple[int, ...], workers: int, say: Say, device: torch.device
) -> dict[str, object]:
    """What the network does without the vessels, and where it looks, on some clips of the test part."""
    indices = gaze.chosen(test, run.seed)
    say(f"sanity: drawing the vessels of {len(indices)} clips of the test part")
    drawn = gaze.drawn(run.recipe, clips, indices, run.plans(workers, say))
    vessels = gaze.aucs(run.recipe, model, clips, indices, drawn, seed=run.seed, device=device)
    fresh = gaze.untrained(run.recipe, clips, indices, seed=run.seed, device=device)
    both = {"trained": model, "random": fresh}
    return {
        "vessels": {"clips": len(indices), "auc": vessels},
        "grad_cam": gaze.on_tree(run.recipe, both, clips, indices, drawn, seed=run.seed, device=device),
    }


def freeze(validation: Predictions, seed: int) -> dict[str, float]:
    """Everything that is chosen, from validation alone: both operating points and the temperature."""

    def inside(threshold: float) -> float:
        # A card's threshold lies strictly between 0 and 1, also where validation separates without a fault.
        return float(np.clip(threshold, _EDGE, 1.0 - _EDGE))

    labels, scores = validation.labels, validation.scores
    if not np.isfinite(validation.logits).all():
        raise ConfigError("validation: a clip's logit is no number; these weights score nothing")
    return {
        "threshold": inside(metrics.steady_threshold(labels, scores, validation.patients, seed=seed)),
        "threshold_specificity_95": inside(metrics.threshold_at_specificity(labels, scores, SPECIFICITY)),
        "temperature": fit_temperature(labels, validation.logits),
    }


def figures(part: Predictions, frozen: Mapping[str, float], seed: int) -> dict[str, object]:
    """What metrics.json says of a part at thresholds and a temperature that were `frozen`; those that are not are left out."""
    by_kind = metrics.by_kind(part.labels, part.scores, part.kinds, frozen["threshold"])
    more: dict[str, object] = {}
    if "threshold_specificity_95" in frozen:
        second = metrics.report(part.labels, part.scores, part.patients, frozen["threshold_specificity_95"], seed=seed)
        more["at_specificity_95"] = second.to_json()
    return {
        **metrics.report(part.labels, part.scores, part.patients, frozen["threshold"], seed=seed).to_json(),
        **more,
        "calibration": calibration(part.labels, part.logits, frozen.get("temperature", 1.0)),
        "by_kind": {kind: {k: None if math.isnan(v) else v for k, v in row.items()} for kind, row in by_kind.items()},
        "bands": groups.bands(part.labels, part.scores, part.patients, part.graded, frozen["threshold"], seed=seed),
        "auc_by_vendor": groups.by_vendor(part.labels, part.scores, part.patients, part.vendors, seed=seed),
    }


def _auc_by_kind(part: Predictions) -> dict[str, float]:
    rows = metrics.by_kind(part.labels, part.scores, part.kinds, 0.5)
    return {kind: round(row["auc"], 4) for kind, row in rows.items() if not math.isnan(row["auc"])}


def _write_examples(path: Path, clips: Clips, indices: Sequence[int], part: Predictions, threshold: float) -> None:
    """A few clips of each cell of the confusion matrix, three frames each, so that Figure 2 is drawn from the folder alone."""
    called, wrong = part.scores >= threshold, part.labels > 0
    frames, cells, scores = [], [], []
    for cell, mask in (("TP", called & wrong), ("FN", ~called & wrong), ("FP", called & ~wrong), ("TN", ~called & ~wrong)):
        for place in np.flatnonzero(mask)[:_EACH]:
            clip = clips.centred(indices[int(place)])
            frames.append(_moments(clip))
            cells.append(cell)
            scores.append(float(part.scores[place]))
    # By a handle: numpy adds .npz to names that end otherwise.
    with files.replacing(path) as whole, whole.open("wb") as handle:
        np.savez_compressed(handle, frames=np.stack(frames), cells=np.array(cells), scores=np.array(scores))


def _moments(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return clip[[round(share * (len(clip) - 1)) for share in _MOMENTS]]
