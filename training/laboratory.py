"""What other laboratories do to a picture: other backgrounds, other makers' processing of local contrast, other textures.

Noise is not added, and what a vessel stands out by is changed together with the noise around it; a random filter now and then
hides a faint one for all that (docs/training.md).
"""

from typing import Final

import numpy as np
import torch
from torch.nn import functional

_SLOPES: Final = (2.5, 4.5)  # of the power spectrum: from rough to clouds
_STRETCH: Final = (1.0, 5.0)  # how much longer than wide its structures are, as ribs and folds
_EDGES: Final = (0.2, 1.5)  # 0: smooth; the more, the sharper the borders between dark and bright
_DRIFT_SHARE: Final = 0.06  # of the side, to and fro during a run
_FLATTENED: Final = (0.0, 0.8)  # share of the wide differences of brightness that is taken away
_WIDE: Final = (8, 40)  # pixels of the side of 160 over which brightness is taken as wide
_SHARPENED: Final = (0.0, 1.0)
_FINE: Final = (0.6, 1.6)  # standard deviation in pixels of what sharpening calls fine
_SIDE: Final = 160
_TAPS: Final = (3, 5, 7)  # pixels along the side of a random filter
_DARK_STAYS: Final = 0.08  # what every tap has beside its random part, of deviation 1
_FILTERED: Final = (0.0, 0.9)  # share of a filtered picture that is the filter's


def cluttered(clip: torch.Tensor, most: float, rng: np.random.Generator) -> torch.Tensor:
    """A run [T,S,S] behind one more attenuating field, still or drifting; what is black stays so.

    Its deviation is at most the share `most` of the run's own in the middle.
    """
    frames, size = clip.shape[:2]
    middle = clip[:, size // 4 : -size // 4, size // 4 : -size // 4]
    reach = round(size * _DRIFT_SHARE) if rng.random() < 0.5 else 0  # noqa: PLR2004 - half of them drift
    side = size + 2 * reach
    field = (_field(side, rng) * rng.uniform(0.0, most)).to(clip.device) * (middle.std() / middle.mean().clamp_min(1.0))
    turns = rng.uniform(0.0, 2.0 * np.pi, 2) + np.arange(frames)[:, None] * rng.uniform(0.05, 0.5)
    places = reach + np.rint(reach * np.sin(turns)).astype(int)
    return clip * torch.stack([field[down : down + size, right : right + size] for down, right in places.tolist()]).exp()


def _field(side: int, rng: np.random.Generator) -> torch.Tensor:
    """A random field [S,S] of mean 0 and deviation 1, by its spectrum."""
    way, stretch = rng.uniform(0.0, np.pi), np.exp(rng.uniform(*np.log(_STRETCH)))
    y, x = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    along, across = x * np.cos(way) + y * np.sin(way), y * np.cos(way) - x * np.sin(way)
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    field = np.fft.irfft2(white * frequency ** (-rng.uniform(*_SLOPES) / 2.0), s=(side, side))
    edged = np.tanh(field / field.std() * np.exp(rng.uniform(*np.log(_EDGES))))
    return torch.from_numpy(((edged - edged.mean()) / edged.std()).astype(np.float32))


def processed(clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A run [T,S,S] with wide differences of brightness flattened and fine ones enhanced, by one draw."""
    size = clip.shape[-1]
    reach = max(round(float(rng.uniform(*_WIDE)) * size / _SIDE), 2)
    small = functional.interpolate(clip[:, None], size=max(size // reach, 2), mode="area")
    wide = functional.interpolate(small, size=size, mode="bicubic", align_corners=False)[:, 0]
    flattened = clip - float(rng.uniform(*_FLATTENED)) * (wide - wide.mean())
    return flattened + float(rng.uniform(*_SHARPENED)) * (clip - blurred(clip, float(rng.uniform(*_FINE))))


def filtered(clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A run [T,S,S] mixed with itself behind one random linear filter, whose picture has the run's mean and deviation.

    Shapes stay and textures do not (RandConv; Xu et al., ICLR 2021): edges are shadowed, sharpened, doubled or smeared. What is
    dark mostly stays so.
    """
    taps = int(rng.choice(_TAPS))
    kernel = rng.standard_normal((taps, taps))
    kernel = np.sign(kernel.sum()) * kernel + _DARK_STAYS
    weights = torch.from_numpy(kernel.astype(np.float32)).to(clip.device)[None, None]
    mean, deviation = clip.mean(), clip.std()
    padded = functional.pad((clip - mean)[:, None], (taps // 2,) * 4, mode="replicate")
    other = functional.conv2d(padded, weights)[:, 0]
    other = (other - other.mean()) * (deviation / other.std().clamp_min(1e-3))
    return torch.lerp(clip, other + mean, float(rng.uniform(*_FILTERED)))


def blurred(clip: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian of 5×5 pixels on every frame of [T,S,S], along rows, then along columns."""
    weights = torch.exp(-0.5 * (torch.arange(-2, 3, dtype=torch.float32) / sigma) ** 2)
    shares = (weights / weights.sum()).tolist()
    for axis, edges in ((1, (0, 0, 2, 2)), (2, (2, 2, 0, 0))):
        padded = functional.pad(clip[:, None], edges, mode="replicate")[:, 0]
        clip = sum(weight * padded.narrow(axis, tap, clip.shape[axis]) for tap, weight in enumerate(shares))
    return clip
