"""The only place that warps what is trained on: one draw per clip, the same on all of its frames; quantum noise anew per frame.

`augment` runs on the device of the batch, `sway`, which moves every frame otherwise, before it on the CPU. Both follow from the
generator given, whatever the number of threads.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training import laboratory
from training.data.cines import Clips
from training.laboratory import blurred

# Of a picture, at 160 pixels: heart and breath by cycles a minute, how far to either side they may move it, in pixels and
# degrees, and how much quicker one way than back, as in systole.
_SWAYS: Final = (((45.0, 130.0), (2.5, 2.5, 1.5), 0.5), ((8.0, 30.0), (4.0, 4.0, 1.5), 0.0))
SWAY_SIDE: Final = 160
_SAMPLED_SECONDS: Final = 32 / 15
_OWN_PHASES: Final = 0.35  # share of heart's and of breath's motions in which right, down and turn do not go together
_STILL: Final = 0.2  # share of pictures that do not move at all
_SWAY_NOISE: Final = (0.2, 1.0)  # grey levels at the cached size; more would hide what the label says is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How far each change may go: degrees, shares of scale, width and depth, logs of gamma and contrast, grey levels.

    `clutter` is the share of a clip's own grey spread that still or drifting background has, `local` the share of clips that is
    processed as other makers' machines do (`training.laboratory`), `texture` the share that is seen through a random filter.
    """

    rotate_deg: float = 10.0
    scale: float = 0.12
    translate: float = 0.06
    perspective: float = 0.05
    flip: float = 0.5
    blur: float = 0.3
    log_gamma: float = 0.35
    log_contrast: float = 0.25
    brightness: float = 20.0
    noise: float = 5.0
    clutter: float = 0.0
    local: float = 0.0
    texture: float = 0.0


def draw(
    clips: Clips, indices: NDArray[np.int64], *, frames: int, rng: np.random.Generator
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Clips uint8 [B,frames,S,S] with a jittered start; fewer frames than the spec's mean a coarser stride over them.

    Which of the cached frames each of them shows goes with it, [B,frames].
    """
    length = clips.frames.shape[1] - 2 * clips.margin
    starts = rng.integers(0, 2 * clips.margin + 1, len(indices))
    places = starts[:, None] + np.arange(0, length, length // frames)[:frames]
    return torch.from_numpy(np.stack([clips.clip(int(i))[row] for i, row in zip(indices, places, strict=True)])), places


def augment(batch: torch.Tensor, size: int, strength: Strength, rng: np.random.Generator) -> torch.Tensor:
    """uint8 [B,T,S,S] to float32 grey levels 0..255 [B,T,size,size], on the batch's device."""
    grey = _warp(batch.to(torch.float32), size, strength, rng)
    count = len(grey)
    sigmas = np.where(rng.random(count) < strength.blur, rng.uniform(0.4, 1.1, count), 0.0)
    for index in np.flatnonzero(sigmas):
        grey[index] = blurred(grey[index], float(sigmas[index]))
    for place in range(count):
        if strength.clutter:
            grey[place] = laboratory.cluttered(grey[place], strength.clutter, rng)
        if strength.local and rng.random() < strength.local:
            grey[place] = laboratory.processed(grey[place], rng)
        if strength.texture and rng.random() < strength.texture:
            grey[place] = laboratory.filtered(grey[place], rng)
    gamma = _column(np.exp(rng.uniform(-strength.log_gamma, strength.log_gamma, count)), grey)
    contrast = _column(np.exp(rng.uniform(-strength.log_contrast, strength.log_contrast, count)), grey)
    bright = _column(rng.uniform(-strength.brightness, strength.brightness, count), grey)
    sigma = _column(rng.uniform(0.0, strength.noise, count), grey)
    grey = 255.0 * (grey / 255.0).clamp(0.0, 1.0) ** gamma
    grey = (grey - 128.0) * contrast + 128.0 + bright
    # Drawn on the device: a batch of noise is as large as the batch, and would cost more to move than to make.
    source = torch.Generator(grey.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(grey.shape, generator=source, device=grey.device)
    return (grey + noise * sigma).clamp_(0.0, 255.0)


def _column(values: NDArray[np.float64], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1).to(like.device)


def _warp(grey: torch.Tensor, size: int, strength: Strength, rng: np.random.Generator) -> torch.Tensor:
    """Rotation, scale, shift, flip and perspective as one homography per clip; beyond the edge its pixels are repeated."""
    count = len(grey)
    angle = np.radians(rng.uniform(-strength.rotate_deg, strength.rotate_deg, count))
    scale = np.exp(rng.uniform(-strength.scale, strength.scale, count))
    flip = np.where(rng.random(count) < strength.flip, -1.0, 1.0)
    shift = rng.uniform(-2.0 * strength.translate, 2.0 * strength.translate, (2, count))
    tilt = rng.uniform(-strength.perspective, strength.perspective, (2, count))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    rows = ((flip * cos, -sin, shift[0]), (flip * sin, cos, shift[1]), (tilt[0], tilt[1], np.ones(count)))
    matrix = torch.from_numpy(np.stack([np.stack(row, -1) for row in rows], 1).astype(np.float32)).to(grey.device)
    line = (2.0 * torch.arange(size, device=grey.device, dtype=torch.float32) + 1.0) / size - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3) @ matrix.transpose(1, 2)
    grid = (points[..., :2] / points[..., 2:]).view(count, size, size, 2)
    return functional.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sway(frames: NDArray[np.uint8], rng: np.random.Generator, seconds: float = _SAMPLED_SECONDS) -> NDArray[np.uint8]:
    """Frames uint8 [T,S,S] of `seconds` of a run, moved as one rigid picture each, under fresh noise: a held one has none.

    As heart and breath move it, any way, slowly or quickly, far or hardly; some are not moved at all.
    """
    size = frames.shape[1]
    sigma = float(np.exp(rng.uniform(*np.log(_SWAY_NOISE))))
    ways = _ways(len(frames), seconds, rng) * (size / SWAY_SIDE, size / SWAY_SIDE, 1.0)
    grain = rng.standard_normal(frames.shape, dtype=np.float32) * np.float32(sigma)
    if rng.random() < _STILL:
        ways[:] = 0.0
    return moved(frames, ways, grain)


def moved(frames: NDArray[np.uint8], ways: NDArray[np.float64], grain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Frames uint8 [T,S,S], each shifted right, down (pixels) and turned (degrees) by its row of `ways` [T,3], and `grain`."""
    size = frames.shape[1]
    made = np.empty_like(frames)
    for place, (right, down, turn) in enumerate(ways.tolist()):
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), turn, 1.0)
        matrix[:, 2] += right, down
        grey = frames[place].astype(np.float32)
        warped = cv2.warpAffine(grey, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        made[place] = np.clip(np.rint(warped + grain[place]), 0.0, 255.0)
    return made


def _ways(count: int, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shift to the right, shift down and turn, [count,3], of `count` frames spread over `seconds`."""
    minutes = np.arange(count)[:, None] * (seconds / count / 60.0)
    ways = np.zeros((count, 3))
    for pace, most, systole in _SWAYS:
        apart = rng.random(3) if rng.random() < _OWN_PHASES else rng.random()
        phase = 2.0 * np.pi * (minutes * rng.uniform(*pace) + apart)
        quick = rng.uniform(0.0, systole)
        ways += (np.sin(phase) + quick * np.sin(2.0 * phase)) / (1.0 + quick) * rng.uniform(-1.0, 1.0, 3) * most
    return ways
