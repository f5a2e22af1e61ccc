"""Does that a picture stands still mean anything to the network? One frame of a simulated clip held for the whole run.

Of a satisfactory clip it is the frame in which most of the tree is seen, of an unsatisfactory one that in which least is.
Where standing still has become a sign, ranks may be right and the threshold wrong: both are told. And where the way in which a
picture moves is one, the logit differs between directions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.phantom import sight
from training import loop, metrics, replay
from training.augment import SWAY_SIDE, moved, sway
from training.calibration import probabilities
from training.carryover import heartbeat
from training.data.cines import Clips
from training.recipe import Recipe

STILL: Final = "held as it is"
MOVED: Final = "held, moved, under fresh noise"
_BOTH: Final = 2
_PICTURES: Final = 12  # of each label, moved in every direction
_DIRECTIONS: Final = 8
_SHIFT_PX: Final = 1.0  # to either side by a heart of 75 a minute, at 160 pixels; a turn of 0.75 degrees goes with it
_TURN_DEG: Final = 0.75
_BEATS_HZ: Final = 1.25
_NOISE: Final = 0.6


def telling(clips: Clips, index: int) -> int | None:
    """The place among the sampled frames of the one that shows the clip's label clearly; None where none does."""
    if not replay.known(clips, index):
        return None
    shares, unsatisfactory = np.array(clips.visible[index]), bool(clips.labels[index])
    if not len(shares):
        return len(clips.centred(index)) // 2
    place = int(np.argmin(shares) if unsatisfactory else np.argmax(shares))
    return place if replay.clear(shares[place], unsatisfactory=unsatisfactory) else None


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
    places = _clear(recipe, clips, indices)
    chosen = list(places)
    if not chosen:
        return {}
    labels = clips.labels[chosen].astype(np.float64)
    patients, rng = [clips.patients[i] for i in chosen], np.random.default_rng([seed, 6])
    still = [np.repeat(clips.centred(i)[places[i], None], len(sight.SAMPLED), axis=0) for i in chosen]
    found = {}
    for name, frames in {STILL: still, MOVED: [sway(one, rng) for one in still]}.items():
        changed = replace(clips, frames=np.stack(frames), rows=None, margin=0)
        logits = loop.score(recipe, model, changed, range(len(chosen)), device=device)
        found[name] = metrics.report(labels, probabilities(logits), patients, threshold, seed=seed).to_json()
    return found


def _clear(recipe: Recipe, clips: Clips, indices: Sequence[int]) -> dict[int, int]:
    """The telling place of each clip that has one; none at all without both labels, and where nobody says what is seen."""
    if recipe.spec.frame_numbers() != sight.SAMPLED:
        return {}
    places = {i: place for i in indices if (place := telling(clips, i)) is not None}
    return places if len({float(clips.labels[i]) for i in places}) == _BOTH else {}


def by_direction(
    recipe: Recipe, model: nn.Module, clips: Clips, indices: Sequence[int], *, seed: int, device: torch.device
) -> Mapping[str, Any]:
    """How much the logit of a picture hangs on the way in which it moves: mean standard deviation within a picture, by label.

    The first clips of each label, a clear frame of each, shifted to and fro in eight directions along one path by a beating
    heart, a turn with it, under one noise. 0 is best: what is seen is the same.
    """
    places = _clear(recipe, clips, indices)
    found: dict[str, Any] = {}
    if not places:
        return found
    for name, label in (("satisfactory", 0.0), ("unsatisfactory", 1.0)):
        chosen = [i for i in places if float(clips.labels[i]) == label][:_PICTURES]
        made = np.concatenate([_directions(clips.centred(i)[places[i]], np.random.default_rng([seed, 7])) for i in chosen])
        changed = replace(clips, frames=made, rows=None, margin=0)
        logits = loop.score(recipe, model, changed, range(len(made)), device=device).reshape(len(chosen), -1)
        found[name] = {"pictures": len(chosen), "mean": float(logits.mean()), "deviation": float(logits.std(axis=1).mean())}
    return found


def _directions(frame: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Runs uint8 [8,T,S,S] of one frame [S,S]."""
    count, size = len(sight.SAMPLED), len(frame)
    heart = heartbeat(2.0 * np.pi * _BEATS_HZ * (np.array(sight.SAMPLED) / 15.0))
    grain = rng.standard_normal((count, size, size), dtype=np.float32) * np.float32(_NOISE)
    still, reach = np.repeat(frame[None], count, axis=0), _SHIFT_PX * size / SWAY_SIDE
    angles = 2.0 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    ways = [np.stack([reach * np.cos(a) * heart, reach * np.sin(a) * heart, _TURN_DEG * heart], axis=-1) for a in angles]
    return np.stack([moved(still, way, grain) for way in ways])
