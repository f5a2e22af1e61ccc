"""Which device the model runs on. torch is asked only where there may be a GPU: importing it costs seconds and 200 MB."""

from pathlib import Path
from typing import Final

from dicomqc.core.errors import ConfigError

CPU: Final = "cpu"
# NVIDIA's driver, the same under WSL, on embedded boards, and AMD's.
_GPU_NODES: Final = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu", "/dev/kfd")


def select(name: str) -> str:
    """`cpu` or `cuda:N`: what `auto`, `cpu`, `cuda` or `cuda:N` means here. Raises ConfigError where it is not there."""
    kind, _, index = name.partition(":")
    if name == CPU or (name == "auto" and not _cuda_devices()):
        return CPU
    if name != "auto" and (kind != "cuda" or not (index.isdecimal() or name == "cuda")):
        raise ConfigError(f"score.device: {name} is not auto, cpu, cuda or cuda:N")
    if int(index or 0) >= _cuda_devices():
        raise ConfigError(f"score.device: there is no {name} here; auto takes what there is")
    return f"cuda:{int(index or 0)}"


def _cuda_devices() -> int:
    if not any(Path(node).exists() for node in _GPU_NODES):
        return 0
    import torch  # noqa: PLC0415 - only where a GPU may be

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
