"""Does that a picture stands still mean anything to the network? One frame of a simulated clip held for the whole run.

Of a satisfactory clip it is the frame in which most of the tree is seen, of an unsatisfactory one that in which least is.
Where standing still has become a sign, ranks may be right and the threshold wrong: both are told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from dicomqc.phantom import sight
from training import loop, metrics, replay
from training.augment import sway
from training.calibration import probabilities
from training.data.cines import Clips
from training.recipe import Recipe

STILL: Final = "held as it is"
MOVED: Final = "held, moved, under fresh noise"
_BOTH: Final = 2


def telling(clips: Clips, index: int) -> int | None:
    """The place among the sampled frames of the one that shows the clip's label clearly; None where none does."""
    if not replay.known(clips, index):
        return None
    shares, (least, most) = clips.visible[index], sight.GRADED
    if not shares:
        return len(clips.centred(index)) // 2
    place = int(np.argmin(shares) if clips.labels[index] else np.argmax(shares))
    clear = shares[place] < least if clips.labels[index] else shares[place] >= most
    return place if clear else None


def figures(
    recipe: Recipe,
    model: nn.Module,
    clips: Clips,
    indices: Sequence[int],
    threshold: float,
    *,
    seed: int,
    device: torch.device,
) -> Mapping[str, Any]:
    """`metrics.Report` at `threshold` of both ways; empty without both labels, and where nobody says what is seen."""
    if recipe.spec.frame_numbers() != sight.SAMPLED:
        return {}
    places = {i: place for i in indices if (place := telling(clips, i)) is not None}
    chosen = list(places)
    labels = clips.labels[chosen].astype(np.float64)
    if len(set(labels.tolist())) < _BOTH:
        return {}
    patients, rng = [clips.patients[i] for i in chosen], np.random.default_rng([seed, 6])
    still = [np.repeat(clips.centred(i)[places[i], None], len(sight.SAMPLED), axis=0) for i in chosen]
    found = {}
    for name, frames in {STILL: still, MOVED: [sway(one, rng) for one in still]}.items():
        changed = replace(clips, frames=np.stack(frames), rows=None, margin=0)
        logits = loop.score(recipe, model, changed, range(len(chosen)), device=device)
        found[name] = metrics.report(labels, probabilities(logits), patients, threshold, seed=seed).to_json()
    return found
