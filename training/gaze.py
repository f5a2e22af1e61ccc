"""Does the network look at the vessels? Clips with their vessels removed or alone, and Grad-CAM's mass on the native tree.

The masks come from the simulator's plans, so that only simulated clips can be asked. What is chosen follows from the seed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.phantom.plan import CinePlan
from dicomqc.sample.tensor import normalise
from training import bootstrap, loop, metrics, network, sanity
from training.bootstrap import Values
from training.data import masks
from training.data.cines import Clips
from training.data.masks import Masks
from training.recipe import Recipe

CLIPS: Final = 120
EVERY: Final = "all of them"
_NORM_CLIPS, _NORM_BATCH = 32, 8
_LEAST_PATIENTS: Final = 2
_EMPTY: Final = 1e-4  # of the picture: less of the tree than this is none


def chosen(indices: Sequence[int], seed: int) -> tuple[int, ...]:
    """At most CLIPS of the clips, by the seed, ascending."""
    order = np.random.default_rng([seed, 5]).permutation(np.asarray(indices, dtype=np.int64))[:CLIPS]
    return tuple(sorted(int(i) for i in order))


def drawn(recipe: Recipe, clips: Clips, indices: Sequence[int], plans: Mapping[str, CinePlan]) -> list[Masks]:
    """The masks of each of the clips, from the plan of its id."""
    return [masks.draw(plans[clips.name(i)], recipe.spec) for i in indices]


def elsewhere(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same shape half a picture away, without what is vessel there too: how much the change alone does."""
    size = mask.shape[-1]
    return np.roll(mask, (size // 2, size // 2), axis=(1, 2)) & ~mask


def aucs(
    recipe: Recipe,
    model: nn.Module,
    clips: Clips,
    indices: Sequence[int],
    drawn: Sequence[Masks],
    *,
    seed: int,
    device: torch.device,
) -> dict[str, dict[str, float]]:
    """The AUC, with its interval over patients, as sampled and with vessels removed, the same area elsewhere, vessels alone."""
    plain = [clips.centred(i) for i in indices]
    removed = [sanity.vessels_removed(clip, m.vessels) for clip, m in zip(plain, drawn, strict=True)]
    control = [sanity.vessels_removed(clip, elsewhere(m.vessels)) for clip, m in zip(plain, drawn, strict=True)]
    alone = [sanity.vessels_alone(clip, m.vessels) for clip, m in zip(plain, drawn, strict=True)]
    changed = {
        "as sampled": plain,
        "vessels removed": removed,
        "as much removed elsewhere": control,
        "vessels alone": alone,
    }
    labels = clips.labels[list(indices)].astype(np.float64)
    patients = [clips.patients[i] for i in indices]
    found = {}
    for name, frames in changed.items():
        made = Clips(frames=np.stack(frames), labels=clips.labels[list(indices)], patients=(), kinds=(), margin=0)
        logits = loop.score(recipe, model, made, range(len(indices)), device=device)
        low, high = metrics.auc_interval(labels, logits, patients, seed=seed)
        found[name] = {"auc": metrics.auc(labels, logits), "low": low, "high": high}
    return found


def untrained(recipe: Recipe, clips: Clips, indices: Sequence[int], *, seed: int, device: torch.device) -> nn.Module:
    """A network of fresh weights, its batch norm set on some of the clips, so that its maps have the usual range."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % loop.SEEDS)
        model = network.build(recipe.model, 0.0)
        network.initialise(model, recipe.model)
    model = model.to(device)
    starts = range(0, min(len(indices), _NORM_CLIPS), _NORM_BATCH)
    network.reestimate(model, (_input(recipe, clips, indices[s : s + _NORM_BATCH], device) for s in starts))
    return model.eval()


def on_tree(
    recipe: Recipe,
    models: Mapping[str, nn.Module],
    clips: Clips,
    indices: Sequence[int],
    drawn: Sequence[Masks],
    *,
    seed: int,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """Per kind with a visible native tree: the mean share of the tree in the picture, and of every network's heat on it.

    The heat is Grad-CAM's for each clip's own label. A clip without any heat under a network is left out of its mean;
    `NAME_above_area` is the interval over patients of the mean share minus the tree's area.
    """
    seen = [place for place, mask in enumerate(drawn) if mask.tree.mean() > _EMPTY]
    if not seen:
        return {}
    shares = {"area": np.array([drawn[place].tree.mean() for place in seen])}
    for name, model in models.items():
        layer = sanity.last_map(model, _input(recipe, clips, [indices[seen[0]]], device))
        heat = [_share(recipe, model, layer, clips, indices[place], drawn[place], device) for place in seen]
        shares[name] = np.array(heat)
    kinds = np.array([clips.kinds[indices[place]] for place in seen])
    patients = np.array([clips.patients[indices[place]] for place in seen])
    rows = {kind: kinds == kind for kind in sorted(set(kinds.tolist()))} | {EVERY: np.ones(len(seen), bool)}
    return {kind: _row({k: v[mine] for k, v in shares.items()}, patients[mine], seed) for kind, mine in rows.items()}


def _share(
    recipe: Recipe, model: nn.Module, layer: nn.Module, clips: Clips, index: int, mask: Masks, device: torch.device
) -> float:
    """The share of one clip's heat on its tree; NaN without heat."""
    sign = 1.0 if clips.labels[index] > 0 else -1.0
    heat = sanity.grad_cam(model, layer, _input(recipe, clips, [index], device), sign=sign)
    return sanity.mass(heat, mask.tree)[0] if heat.sum() > 0 else float("nan")


def _row(shares: Mapping[str, Values], patients: NDArray[np.str_], seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"clips": len(patients), "area": float(shares["area"].mean())}
    for name, values in shares.items():
        if name == "area":
            continue
        warm = ~np.isnan(values)
        row[name] = float(values[warm].mean()) if warm.any() else float("nan")
        row[f"{name}_above_area"] = _interval((values - shares["area"])[warm], patients[warm].tolist(), seed)
    return row


def _interval(values: Values, patients: Sequence[str], seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean, by drawing patients; NaN where fewer than two leave nothing to draw."""
    if len(set(patients)) < _LEAST_PATIENTS:
        return float("nan"), float("nan")
    draws = bootstrap.draw(patients, seed=seed, rounds=metrics.ROUNDS)
    weights = draws.weights[:, draws.owner].astype(np.float64)
    return bootstrap.interval(weights @ values / weights.sum(axis=1))


def _input(recipe: Recipe, clips: Clips, indices: Sequence[int], device: torch.device) -> torch.Tensor:
    grey = torch.from_numpy(np.stack([clips.centred(i) for i in indices])).to(device)
    return normalise(grey, recipe.spec).contiguous(memory_format=torch.channels_last_3d)
