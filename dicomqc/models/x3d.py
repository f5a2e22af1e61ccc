"""X3D-S and X3D-L by pytorchvideo, as the papers count them (Feichtenhofer 2020, table 1 for the expansion of depth)."""

from typing import Final

from torch import nn

from dicomqc.models import torchvision_remedy

_FRAMES: Final = 16
_L_DEPTH: Final = 5.0


def x3d_s(*, num_classes: int = 1) -> nn.Module:
    """An X3D-S with fresh weights: [N, 3, T, H, W] float → [N, num_classes] logits; 2.98 M parameters."""
    return _x3d(size=160, num_classes=num_classes)


def x3d_l(*, num_classes: int = 1) -> nn.Module:
    """An X3D-L with fresh weights, the choice of the paper's journal version: shapes as `x3d_s`; 5.34 M parameters."""
    return _x3d(size=312, num_classes=num_classes, depth_factor=_L_DEPTH)


def _x3d(*, size: int, num_classes: int, **expansion: float) -> nn.Module:
    """The head's average pool is adaptive, the same at the model's own size and open to others; names are kept."""
    torchvision_remedy.ensure()
    from pytorchvideo.models.x3d import create_x3d  # noqa: PLC0415 - only after the remedy

    model: nn.Module = create_x3d(
        input_channel=3,
        input_clip_length=_FRAMES,
        input_crop_size=size,
        model_num_class=num_classes,
        head_activation=None,
        **expansion,
    )
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool3d):
                # Also has a bf16 kernel on the CPU, which AvgPool3d lacks.
                setattr(module, name, nn.AdaptiveAvgPool3d(1))
    return model
