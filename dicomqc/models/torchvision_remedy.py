"""Makes `import torchvision` succeed beside a CPU-only torch: its wheel is built against CUDA torch."""

import importlib
import sys
from functools import cache

import torch

_DECLARATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor a, Tensor b, float c) -> Tensor",
)


@cache
def ensure() -> object:
    """Import torchvision; returns what must stay alive for it to stay usable.

    pytorchvideo imports it for RoIAlign only, which X3D never calls, so that declared operators without a kernel are enough.
    A healthy installation is untouched: the remedy follows only the one error that the CPU build raises.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for declaration in _DECLARATIONS:
            library.define(declaration)  # type: ignore[no-untyped-call]
        importlib.import_module("torchvision")
        return library
    return None
