"""The networks by name."""

from collections.abc import Callable, Mapping

from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models.x3d import x3d_s

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"x3d_s": x3d_s}


def build(architecture: str, *, num_classes: int = 1) -> nn.Module:
    """A network with fresh weights by its name (a key of `BUILDERS`). Raises ConfigError for an unknown name."""
    if architecture not in BUILDERS:
        raise ConfigError(f"architecture: no network is called {architecture}; one of {', '.join(BUILDERS)}")
    return BUILDERS[architecture](num_classes=num_classes)
