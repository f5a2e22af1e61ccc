"""Calls of one network recorded as CUDA graphs, since a small batch spends more time in launches than in arithmetic.

Frames go through pinned memory, as grey levels of one byte. One graph for each power of two of clips, made when first needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

Call = Callable[[torch.Tensor], torch.Tensor]
_WARM_UPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    pinned: torch.Tensor
    frames: torch.Tensor
    logits: torch.Tensor


class Replayed:
    """`call` on clips uint8 [N,*shape] of the host, by replaying a recorded graph; spare places hold old clips."""

    def __init__(self, call: Call, shape: tuple[int, ...], device: torch.device) -> None:
        """`call`: uint8 [N,*shape] on `device` → float32 [N] there."""
        self._call = call
        self._shape = shape
        self._device = device
        self._recorded: dict[int, _Recorded] = {}

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """The logits [N], on the host."""
        count = len(frames)
        places = 1 << (count - 1).bit_length()
        with torch.cuda.device(self._device):
            if places not in self._recorded:
                self._recorded[places] = self._record(places)
            recorded = self._recorded[places]
            recorded.pinned[:count].copy_(frames)
            recorded.frames.copy_(recorded.pinned, non_blocking=True)
            recorded.graph.replay()
            return recorded.logits[:count].cpu()

    def _record(self, places: int) -> _Recorded:
        pinned = torch.zeros((places, *self._shape), dtype=torch.uint8).pin_memory()
        frames = pinned.to(self._device)
        # Libraries choose their kernels and allocate in the first calls, which must not be part of the recording.
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._call(frames)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._call(frames)
        return _Recorded(graph=graph, pinned=pinned, frames=frames, logits=logits)
