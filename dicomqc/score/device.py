"""Which device the model runs on."""

import torch

from dicomqc.core.errors import ConfigError


def select(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here. Raises ConfigError where it is not there."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"score.device: {name} is not auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return torch.device("cpu")
    index = device.index or 0
    if device.type != "cuda" or index >= torch.cuda.device_count():
        raise ConfigError(f"score.device: there is no {name} here; auto takes what there is")
    return torch.device("cuda", index)
