"""PyTorch: the fallback on a CPU, and the engine on a GPU.

Batch norms are folded, the memory layout is the one that was faster here and now, and a GPU that runs out of memory gets half
the clips.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models.runtime.grey import GreyClips, grey_clips
from dicomqc.models.runtime.protocol import Precision
from dicomqc.sample.spec import FrameSpec

log = structlog.get_logger()

# On a CPU a batch costs what its clips cost one by one, so that waiting for a second clip would only delay the first.
_CPU_CLIPS: Final = 1
_CUDA_CLIPS: Final = 32
_TRIALS: Final = 3
# By the rank of a convolution's weights; all others stay as they are.
_LAYOUTS: Final = {
    "contiguous": {4: torch.contiguous_format, 5: torch.contiguous_format},
    "channels_last": {4: torch.channels_last, 5: torch.channels_last_3d},
}

Call = Callable[[torch.Tensor], torch.Tensor]


class TorchRuntime:
    """A network on a CPU or GPU. Not for several threads at once."""

    engine: Final = "torch"

    def __init__(self, network: nn.Module, spec: FrameSpec, *, device: str, precision: Precision) -> None:
        """`network`: [N,C,T,S,S] → [N,1], in eval mode on the CPU. Raises ConfigError where there is no such precision."""
        where = torch.device(device)
        if precision == "bf16" and where.type == "cpu":
            raise ConfigError("score.precision: PyTorch on a CPU computes in fp32; bf16 needs OpenVINO or a GPU")
        # Convolutions and products on CUDA take TF32 by default, and the verdict will say fp32.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.device = device
        self.precision: Precision = precision
        self.threads = torch.get_num_threads()
        self.max_clips = _CPU_CLIPS if where.type == "cpu" else _CUDA_CLIPS
        example = torch.zeros(
            (self.max_clips, len(spec.frame_numbers()), spec.size, spec.size), dtype=torch.uint8, device=where
        )
        clips = grey_clips(network, spec, folded=True).to(where)
        self.layout = fastest_layout(clips, lambda: self._eager(clips, example))
        in_layout(clips, self.layout)
        self._call: Call = lambda frames: self._eager(clips, frames.to(where))
        if where.type == "cuda":
            from dicomqc.models.runtime.cuda_graphs import Replayed  # noqa: PLC0415 - needs a GPU

            self._call = Replayed(lambda frames: self._eager(clips, frames), tuple(example.shape[1:]), where)

    def logits(self, frames: NDArray[np.uint8]) -> list[float]:
        """Clips of grey levels uint8 [N,T,S,S] to one logit each."""
        # A copy, since a read-only array cannot back a tensor.
        batch = torch.from_numpy(np.array(frames, dtype=np.uint8, order="C"))
        found: list[float] = []
        while len(found) < len(batch):
            part = batch[len(found) : len(found) + self.max_clips]
            try:
                found += self._call(part).tolist()
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.max_clips = len(part) // 2
                log.warning("device_memory_is_short", device=self.device, count=self.max_clips)
                torch.cuda.empty_cache()
        return found

    def _eager(self, clips: GreyClips, frames: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(frames.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            result: torch.Tensor = clips(frames)
        return result


def fastest_layout(network: nn.Module, call: Callable[[], Any]) -> str:
    """The name of the memory layout of weights in which `call` takes the least time; which it is differs by machine."""
    seconds = {}
    for name in _LAYOUTS:
        in_layout(network, name)
        seconds[name] = min(_seconds(call) for _ in range(_TRIALS))
    return min(seconds, key=lambda name: seconds[name])


def in_layout(network: nn.Module, name: str) -> None:
    """Bring the network's weights into a layout of `fastest_layout`."""
    for weights in network.parameters():
        if weights.ndim in _LAYOUTS[name]:
            weights.data = weights.data.contiguous(memory_format=_LAYOUTS[name][weights.ndim])


def _seconds(call: Callable[[], torch.Tensor]) -> float:
    began = time.perf_counter()
    # Reading the answer waits for the device.
    call().tolist()
    return time.perf_counter() - began
