"""The only place of training that may warp: one draw per clip, the same on all of its frames; quantum noise anew per frame."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.data.cines import Clips


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How far each change may go: degrees, shares of scale and width, logs of gamma and contrast, grey levels."""

    rotate_deg: float = 10.0
    scale: float = 0.12
    translate: float = 0.06
    flip: float = 0.5
    blur: float = 0.3
    log_gamma: float = 0.35
    log_contrast: float = 0.25
    brightness: float = 20.0
    noise: float = 5.0


def draw(clips: Clips, indices: NDArray[np.int64], *, frames: int, rng: np.random.Generator) -> torch.Tensor:
    """Clips uint8 [B,frames,S,S] with a jittered start; fewer frames than the spec's mean a coarser stride over them."""
    length = clips.frames.shape[1] - 2 * clips.margin
    stride = length // frames
    starts = rng.integers(0, 2 * clips.margin + 1, len(indices))
    picked = [clips.frames[i, s : s + length : stride][:frames] for i, s in zip(indices, starts, strict=True)]
    return torch.from_numpy(np.stack(picked))


def augment(batch: torch.Tensor, size: int, strength: Strength, rng: np.random.Generator) -> torch.Tensor:
    """uint8 [B,T,S,S] to float32 grey levels 0..255 [B,T,size,size]."""
    grey = _warp(batch.to(torch.float32), size, strength, rng)
    for clip in grey:
        if rng.random() < strength.blur:
            clip.copy_(_blur(clip, float(rng.uniform(0.4, 1.1))))
    count = len(grey)
    gamma = _column(np.exp(rng.uniform(-strength.log_gamma, strength.log_gamma, count)))
    contrast = _column(np.exp(rng.uniform(-strength.log_contrast, strength.log_contrast, count)))
    bright = _column(rng.uniform(-strength.brightness, strength.brightness, count))
    grey = 255.0 * (grey / 255.0).clamp(0.0, 1.0) ** gamma
    grey = (grey - 128.0) * contrast + 128.0 + bright
    noise = torch.from_numpy(rng.standard_normal(grey.shape, dtype=np.float32))
    return (grey + noise * _column(rng.uniform(0.0, strength.noise, count))).clamp_(0.0, 255.0)


def _column(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)


def _warp(grey: torch.Tensor, size: int, strength: Strength, rng: np.random.Generator) -> torch.Tensor:
    count = len(grey)
    angle = np.radians(rng.uniform(-strength.rotate_deg, strength.rotate_deg, count))
    scale = np.exp(rng.uniform(-strength.scale, strength.scale, count))
    flip = np.where(rng.random(count) < strength.flip, -1.0, 1.0)
    shift = rng.uniform(-2.0 * strength.translate, 2.0 * strength.translate, (2, count))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.stack([np.stack([flip * cos, -sin, shift[0]], -1), np.stack([flip * sin, cos, shift[1]], -1)], 1)
    grid = functional.affine_grid(torch.from_numpy(matrix.astype(np.float32)), [count, 1, size, size], align_corners=False)
    return functional.grid_sample(grey, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blur(clip: torch.Tensor, sigma: float) -> torch.Tensor:
    weights = torch.exp(-0.5 * (torch.arange(-2, 3, dtype=torch.float32) / sigma) ** 2)
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    return functional.conv2d(clip[:, None], kernel[None, None], padding=2)[:, 0]
