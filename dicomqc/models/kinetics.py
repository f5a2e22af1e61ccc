"""X3D's published Kinetics-400 weights, from a file that somebody has: never from a hub."""

import pickle
from pathlib import Path
from typing import Final

import torch
from torch import nn

from dicomqc.core.errors import ConfigError

# Their inputs are normalised by these, which a FrameSpec says with `normalisation: fixed`.
MEAN: Final = 0.45
STD: Final = 0.225
# What the network of one logit has of its own: the last layer, of 400 classes in the file.
_OWN: Final = frozenset({"blocks.5.proj.weight", "blocks.5.proj.bias"})


def load_kinetics(network: nn.Module, path: Path) -> None:
    """Fill an X3D (`zoo.build`) with the weights of pytorchvideo's file (X3D_S.pyth), all but its last layer.

    The file must hold exactly the network's tensors, each of its shape. Raises ConfigError, which names what does not fit.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path.name}: not a file of tensors ({type(error).__name__})") from error
    tensors = found.get("model_state") if isinstance(found, dict) else None
    if not isinstance(tensors, dict):
        raise ConfigError(f"{path.name}: has no `model_state`; the published files of X3D have")
    own = network.state_dict()
    kept = {name: value for name, value in tensors.items() if name not in _OWN}
    for name in sorted((set(own) - _OWN) ^ set(kept)):
        raise ConfigError(
            f"{path.name}: {name} is {'missing' if name in own else 'not of this network'} (efficient_x3d is another)"
        )
    for name, value in kept.items():
        if not isinstance(value, torch.Tensor) or value.shape != own[name].shape:
            raise ConfigError(f"{path.name}: {name} has not the shape {tuple(own[name].shape)}")
    network.load_state_dict({**{name: own[name] for name in _OWN & set(own)}, **kept})
