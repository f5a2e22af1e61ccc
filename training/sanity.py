"""Does the network look at what it should? Changes of the clips that must, or must not, matter to it, and Grad-CAM."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from training import loop, metrics
from training.data.cines import Clips
from training.recipe import Recipe

Frames = NDArray[np.uint8]
AS_SAMPLED: Final = "as sampled"
_BORDER: Final = 0.125  # of the side, at each of the four
_INPAINT_PX: Final = 3


def shuffled(frames: Frames, rng: np.random.Generator) -> Frames:
    """The frames of every clip [N,T,S,S] in a random order of its own."""
    return np.stack([clip[rng.permutation(len(clip))] for clip in frames])


def reversed_(frames: Frames, rng: np.random.Generator) -> Frames:  # noqa: ARG001 - every change is called alike
    """From the last frame to the first."""
    return np.ascontiguousarray(frames[:, ::-1])


def repeated(frames: Frames, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """The middle frame for all of them."""
    return np.repeat(frames[:, frames.shape[1] // 2, None], frames.shape[1], axis=1)


def averaged(frames: Frames, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """The mean over time for all of them."""
    mean = np.rint(frames.mean(axis=1, keepdims=True)).astype(np.uint8)
    return np.repeat(mean, frames.shape[1], axis=1)


def without_border(frames: Frames, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """An eighth of the side at each edge in the clip's mean grey."""
    return _grey(frames, ~_inner(frames))


def border_alone(frames: Frames, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """Everything but that border in the clip's mean grey."""
    return _grey(frames, _inner(frames))


CHANGES: Final[Mapping[str, Callable[[Frames, np.random.Generator], Frames]]] = {
    "frames shuffled": shuffled,
    "frames reversed": reversed_,
    "one frame repeated": repeated,
    "temporal mean": averaged,
    "border masked": without_border,
    "border alone": border_alone,
}


def _inner(frames: Frames) -> NDArray[np.bool_]:
    size = frames.shape[-1]
    edge = round(size * _BORDER)
    inner = np.zeros((size, size), bool)
    inner[edge : size - edge, edge : size - edge] = True
    return inner


def _grey(frames: Frames, where: NDArray[np.bool_]) -> Frames:
    mean = np.rint(frames.mean(axis=(1, 2, 3), keepdims=True)).astype(np.uint8)
    return np.where(where, mean, frames)


def vessels_removed(clip: Frames, mask: NDArray[np.bool_]) -> Frames:
    """One clip [T,S,S] with the pixels of `mask` [T,S,S] filled from around them."""
    pairs = zip(clip, mask, strict=True)
    return np.stack([cv2.inpaint(frame, where.astype(np.uint8), _INPAINT_PX, cv2.INPAINT_TELEA) for frame, where in pairs])


def vessels_alone(clip: Frames, mask: NDArray[np.bool_]) -> Frames:
    """One clip [T,S,S] with everything but `mask` in its median grey."""
    return np.where(mask, clip, np.uint8(np.median(clip)))


def relabelled(clips: Clips, seed: int) -> Clips:
    """The same clips with their labels shuffled: what is fitted on them must end at an AUC of a half."""
    return replace(clips, labels=np.random.default_rng([seed, 3]).permutation(clips.labels))


def aucs(
    recipe: Recipe, model: nn.Module, clips: Clips, indices: Sequence[int], *, seed: int, device: torch.device
) -> dict[str, float]:
    """The AUC on the clips as they are sampled, and under every change."""
    plain = np.stack([clips.centred(i) for i in indices])
    labels = clips.labels[list(indices)].astype(np.float64)
    found = {}
    for name, change in {AS_SAMPLED: lambda frames, _: frames, **CHANGES}.items():
        frames = change(plain, np.random.default_rng([seed, 4]))
        changed = replace(clips, frames=frames, rows=None, margin=0)
        logits = loop.score(recipe, model, changed, range(len(indices)), device=device)
        found[name] = metrics.auc(labels, logits)
    return found


def grad_cam(model: nn.Module, layer: nn.Module, clip: torch.Tensor, sign: float = 1.0) -> NDArray[np.float64]:
    """Grad-CAM (Selvaraju 2017) of one normalised clip [1,C,T,S,S] at `layer`: [T,S,S], at least 0, of mass 1 or all 0.

    `sign` 1 explains unsatisfactory, −1 satisfactory. A 2D network's layer has the frames along its batch axis.
    """
    kept: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        logit = model.eval()(clip).sum() * sign
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[-1])
    weights = gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
    heat = functional.relu((weights * kept[-1]).sum(dim=1)).detach()
    # [1,t,h,w] of a 3D layer, [T,h,w] of a 2D one.
    volume = heat[None] if heat.ndim == clip.ndim - 1 else heat[None, None]
    sized = functional.interpolate(volume, size=clip.shape[2:], mode="trilinear", align_corners=False)[0, 0]
    total = float(sized.sum())
    return np.asarray((sized / total if total > 0 else sized).double().cpu().numpy())


def last_map(model: nn.Module, clip: torch.Tensor) -> nn.Module:
    """The last convolution of the network whose output still has a place: more than one row and column."""
    found: list[nn.Module] = []

    def note(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        if min(output.shape[-2:]) > 1:
            found.append(module)

    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
    handles = [module.register_forward_hook(note) for module in convolutions]
    with torch.no_grad():
        model.eval()(clip)
    for handle in handles:
        handle.remove()
    return found[-1]


def mass(heat: NDArray[np.float64], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The share of the heat inside `mask` [T,S,S], and the mask's share of the picture, which chance would give."""
    total = heat.sum()
    return float(heat[mask].sum() / total) if total > 0 else 0.0, float(mask.mean())
