"""The networks by name: how each is built, what it sees of a cine, and which input the paper counted its work on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models.resnet import resnet_2d, resnet_3d
from dicomqc.models.x3d import x3d_l, x3d_s
from dicomqc.sample import spec
from dicomqc.sample.spec import FrameSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One network: [N, 3, T, H, W] float → [N, num_classes] logits. `spec` gives T and H = W unless a card says otherwise."""

    title: str
    spec: FrameSpec
    builder: Callable[..., nn.Module]


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "resnet18_2d": Architecture(title="ResNet-18 2D", spec=spec.RESNET_2D, builder=partial(resnet_2d, 18)),
    "resnet152_2d": Architecture(title="ResNet-152 2D", spec=spec.RESNET_2D, builder=partial(resnet_2d, 152)),
    "resnet18_3d": Architecture(title="ResNet-18 3D", spec=spec.RESNET_3D, builder=partial(resnet_3d, 18)),
    "resnet152_3d": Architecture(title="ResNet-152 3D", spec=spec.RESNET_3D, builder=partial(resnet_3d, 152)),
    "x3d_s": Architecture(title="X3D-S", spec=spec.X3D_S, builder=x3d_s),
    "x3d_l": Architecture(title="X3D-L", spec=spec.X3D_L, builder=x3d_l),
}


def build(architecture: str, *, num_classes: int = 1) -> nn.Module:
    """A network with fresh weights by its name (a key of `ARCHITECTURES`). Raises ConfigError for an unknown name."""
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture: no network is called {architecture}; one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture].builder(num_classes=num_classes)
