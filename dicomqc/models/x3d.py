"""X3D-S by pytorchvideo, as the paper counts it (Feichtenhofer 2020; 2.977 M parameters, 2.56 GMAC at 16×160×160)."""

from torch import nn

from dicomqc.models import torchvision_remedy


def x3d_s(*, num_classes: int = 1) -> nn.Module:
    """An X3D-S with fresh weights: [N, 3, T, H, W] float → [N, num_classes] logits.

    The head's average pool is adaptive, which is the same at 16×160×160 and lets other sizes through; names are kept.
    """
    torchvision_remedy.ensure()
    from pytorchvideo.models.x3d import create_x3d  # noqa: PLC0415 - only after the remedy

    model: nn.Module = create_x3d(
        input_channel=3, input_clip_length=16, input_crop_size=160, model_num_class=num_classes, head_activation=None
    )
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool3d):
                # Also has a bf16 kernel on the CPU, which AvgPool3d lacks.
                setattr(module, name, nn.AdaptiveAvgPool3d(1))
    return model
