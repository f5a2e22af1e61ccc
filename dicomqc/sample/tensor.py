"""Display frames to the network's input; the only module of `sample` that imports torch.

A pure function of the frames and the FrameSpec, so that node and training cannot differ. Output is always finite.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from dicomqc.sample.spec import FrameSpec

_GREY_MAX = 255.0


def to_tensor(frames: NDArray[np.uint8], spec: FrameSpec) -> torch.Tensor:
    """One clip uint8 [T,S,S] to float32 [C,T,S,S], for 2D models too (their batch axis is the caller's)."""
    # A read-only array cannot back a tensor without a warning; a clip is small enough to copy.
    return normalise(torch.from_numpy(np.array(frames, dtype=np.uint8, order="C"))[None], spec)[0]


def normalise(batch: torch.Tensor, spec: FrameSpec) -> torch.Tensor:
    """Clips [N,T,S,S] in grey levels 0..255 (uint8, or float after augmentation) to contiguous float32 [N,C,T,S,S].

    `per_clip`: (x − mean) / max(std, `std_floor`) over T,H,W of each clip, population std; a constant clip becomes zeros.
    `fixed`: (x/255 − `mean`) / `std`. The one grey channel is repeated `channels` times.
    """
    grey = batch.to(torch.float32)
    if spec.normalisation == "per_clip":
        std, mean = torch.std_mean(grey, dim=(1, 2, 3), correction=0, keepdim=True)
        grey = (grey - mean) / std.clamp_min(spec.std_floor)
    else:
        grey = (grey / _GREY_MAX - spec.mean) / spec.std
    return grey.unsqueeze(1).expand(-1, spec.channels, -1, -1, -1).contiguous()
