"""Where the model runs, by the name that people type."""

import torch

from dicomqc.core.errors import ConfigError

AUTO, CPU, CUDA = "auto", "cpu", "cuda"


def select(name: str) -> str:
    """The torch device for `auto`, `cpu`, `cuda` or `cuda:N`; auto takes the first GPU, else the CPU.

    Raises ConfigError for a device that is not there: a node pinned to a GPU must not fall back unseen.
    """
    kind, colon, number = name.partition(":")
    if kind == CPU and not colon:
        return CPU
    if kind not in {AUTO, CUDA} or (colon and not (kind == CUDA and number.isdecimal())):
        raise ConfigError(f"score.device: {name} is not auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(number or 0)
    if index < count:
        return f"{CUDA}:{index}"
    if kind == AUTO:
        return CPU
    raise ConfigError(f"score.device: there is no {name} here ({count} CUDA devices)")
