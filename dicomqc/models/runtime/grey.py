"""A network as the node calls it: grey levels in, logits out, so that normalisation and channels are part of the graph.

A grey clip has three equal channels; one channel through a first convolution whose weights are summed over its inputs is the
same function, exact to rounding, and its input is twelve times smaller.
"""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise


class GreyClips(nn.Module):
    """Clips of grey levels uint8 [N,T,S,S] → logits float32 [N]; see `grey_clips`."""

    def __init__(self, network: nn.Module, spec: FrameSpec) -> None:
        """`network`: [N,1,T,S,S] float → [N,1] logits."""
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """The logits [N] of clips uint8 [N,T,S,S]."""
        logits: torch.Tensor = self.network(normalise(frames, self.spec)).float()
        return logits[:, 0]


def grey_clips(network: nn.Module, spec: FrameSpec, *, folded: bool = False) -> GreyClips:
    """`network` ([N,C,T,S,S] → [N,1], in eval mode, left as it is) as a function of grey levels.

    `folded`: batch norms become part of the convolutions before them. A compiler does that by itself.
    """
    single = fuse(network, inplace=False) if folded else deepcopy(network)
    _sum_channels(single, spec.channels)
    return GreyClips(single, replace(spec, channels=1)).eval().requires_grad_(requires_grad=False)


def _sum_channels(network: nn.Module, channels: int) -> None:
    """Let the first convolution take one channel: the others would carry the same values."""
    if channels == 1:
        return
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Conv3d))
    if (first.in_channels, first.groups) != (channels, 1):
        raise ValueError(f"{name}: the first convolution does not take the {channels} channels of the clip")
    first.in_channels = 1
    first.weight = nn.Parameter(first.weight.detach().sum(dim=1, keepdim=True))
