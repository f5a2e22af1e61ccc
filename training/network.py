"""The network as training needs it: pooling that follows the input's size (multigrid), its own dropout, batch-norm re-estimation."""

from collections.abc import Iterable

import torch
from torch import nn

from dicomqc.models import zoo


def build(name: str, dropout: float) -> nn.Module:
    """The registry's network with size-independent pooling; parameters and their names are those of the published model."""
    model = zoo.build(name, num_classes=1)
    for module in list(model.modules()):
        for child_name, child in module.named_children():
            if isinstance(child, nn.AvgPool3d):
                setattr(module, child_name, nn.AdaptiveAvgPool3d(1))
            elif isinstance(child, nn.Dropout):
                child.p = dropout
    return model


def reestimate(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set every batch norm's statistics to the plain mean over `batches` (inputs [B,C,T,H,W]) at the final size."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()
