"""Can the loop learn at all? Fresh weights of a run's network that must know sixteen of its training clips by heart."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch

from training import loop, metrics
from training.augment import Strength
from training.data.cines import Clips
from training.recipe import Phase, Recipe

CLIPS: Final = 16
_STEPS: Final = 40
_RATE, _X3D_RATE = 0.001, 0.003
_HINDERS: Final = (
    *("weight_decay", "ema", "dropout", "kind_loss", "sight_loss", "frame_loss", "blank", "replay", "sway", "again"),
    *("again_loss", "again_relative", "again_held", "blend", "train_clips", "rate_steps", "validate_epochs"),
    *("frozen", "margin"),
)


def recipe_of(recipe: Recipe, steps: int = _STEPS) -> Recipe:
    """The recipe of a few steps on sixteen clips, without anything that hinders learning by heart."""
    kept = {name: type(getattr(recipe, name))(0) for name in _HINDERS}
    whole = Phase(frames=len(recipe.spec.frame_numbers()), size=recipe.spec.size, batch=CLIPS, steps=steps)
    return replace(
        recipe,
        **kept,
        phases=(whole,),
        schedule="carry",
        learning_rate=_X3D_RATE if recipe.model.startswith("x3d") else _RATE,
        calibrate=False,
        shuffled=False,
        reestimate_clips=CLIPS,
        checkpoint_steps=steps,
        augment=Strength(**{one.name: 0.0 for one in fields(Strength)}),
    )


def chosen(clips: Clips, train: Sequence[int], seed: int) -> tuple[int, ...]:
    """Eight clips of each label, or as many as there are, by the seed."""
    rng = np.random.default_rng([seed, 6])
    labels = clips.labels[list(train)] > 0
    return tuple(int(i) for bad in (False, True) for i in rng.permutation(np.asarray(train)[labels == bad])[: CLIPS // 2])


def figures(
    recipe: Recipe, clips: Clips, train: Sequence[int], *, seed: int, device: torch.device, steps: int = _STEPS
) -> dict[str, Any]:
    """Loss, AUC and accuracy (at P = 0.5) on the few clips that fresh weights were fitted on."""
    places = chosen(clips, train, seed)
    frames = np.stack([clips.centred(i) for i in places])
    labels = clips.labels[list(places)]
    few = Clips(frames=frames, labels=labels, patients=tuple(map(str, places)), kinds=("",) * len(places), margin=0)
    short, every = recipe_of(recipe, steps), range(len(places))
    with TemporaryDirectory() as folder:
        model = loop.fit(short, few, every, Path(folder), seed, device=device)
    logits = loop.score(short, model, few, every, device=device)
    known = (logits > 0) == (labels > 0)
    return {
        "clips": len(places),
        "steps": steps,
        "loss": float(np.logaddexp(0.0, np.where(labels > 0, -logits, logits)).mean()),
        "auc": metrics.auc(labels.astype(np.float64), logits),
        "accuracy": float(known.mean()),
    }
