"""The paper's four ResNets by MONAI: in 2D equal to torchvision's, in 3D to Hara's 3D-ResNets."""

from typing import Final, Literal

import torch
from torch import nn

Depth = Literal[18, 152]
# MONAI's defaults differ from both originals: biased down-sampling, and a first convolution that strides in time.
_ORIGINAL: Final = {
    "n_input_channels": 3,
    "conv1_t_size": 7,
    "shortcut_type": "B",
    "bias_downsample": False,
}
_SPACE_ONLY: Final = (1, 2, 2)


class FrameMean(nn.Module):
    """A 2D network over the frames of a clip: [N, C, T, H, W] → [N, classes], the mean of the frames' logits.

    The paper does not say how its frames make a clip; the mean of logits is ours, in fit, evaluate and engine alike.
    """

    def __init__(self, frame: nn.Module) -> None:
        """`frame`: [N, C, H, W] → [N, classes]."""
        super().__init__()
        self.frame = frame

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The logits [N, classes] of clips [N, C, T, H, W]."""
        count, channels, frames, height, width = clips.shape
        flat = clips.transpose(1, 2).reshape(count * frames, channels, height, width)
        mean: torch.Tensor = self.frame(flat).reshape(count, frames, -1).mean(dim=1)
        return mean


def resnet_2d(depth: Depth, *, num_classes: int = 1) -> nn.Module:
    """A 2D ResNet of `depth` layers with fresh weights, over the frames of a clip (see `FrameMean`)."""
    return FrameMean(_builder(depth)(spatial_dims=2, conv1_t_stride=2, num_classes=num_classes, **_ORIGINAL))


def resnet_3d(depth: Depth, *, num_classes: int = 1) -> nn.Module:
    """A 3D ResNet of `depth` layers with fresh weights: [N, 3, T, H, W] float → [N, num_classes] logits."""
    model: nn.Module = _builder(depth)(spatial_dims=3, conv1_t_stride=_SPACE_ONLY, num_classes=num_classes, **_ORIGINAL)
    return model


def _builder(depth: Depth):  # type: ignore[no-untyped-def]
    from monai.networks.nets import resnet  # noqa: PLC0415 - seconds to import, and X3D needs none of it

    return resnet.resnet18 if depth == 18 else resnet.resnet152  # noqa: PLR2004
