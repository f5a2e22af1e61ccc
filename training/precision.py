"""The arithmetic follows the machine: bf16 where the hardware multiplies it, else fp32: emulation is 500 times as slow."""

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal

import torch

from dicomqc.core.errors import ConfigError

Wanted = Literal["auto", "fp32"]
FP32: Final = "fp32"
WANTED: Final = ("auto", FP32)


def device(name: str) -> torch.device:
    """The device called `auto`, `cpu`, `cuda` or `cuda:N`. Raises ConfigError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: {name} is none of auto, cpu, cuda, cuda:N") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device: there is no {name} here")
    if found.type not in {"cpu", "cuda"}:
        raise ConfigError(f"device: {name} is none of auto, cpu, cuda, cuda:N")
    return found


def bf16(where: torch.device) -> bool:
    """Whether bf16 products have instructions of their own there: CUDA from Ampere on, AVX512-BF16 or AMX, Arm's BF16."""
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Torch has no public question for this.
    if platform.machine().lower() in {"aarch64", "arm64"}:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())  # noqa: SLF001


def full_fp32() -> None:
    """Let fp32 be fp32 on a GPU too, as the node's engine does: torch's own choice is TF32 in convolutions."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def name(where: torch.device, wanted: Wanted = "auto") -> str:
    """What a run on that device computes in: fp32 where that is wanted, whatever the device."""
    return "bf16" if wanted == "auto" and bf16(where) else FP32


def autocast(where: torch.device, wanted: Wanted = "auto") -> AbstractContextManager[object]:
    """Mixed precision where it pays and is not forbidden; nothing elsewhere."""
    return torch.autocast(where.type, dtype=torch.bfloat16) if name(where, wanted) == "bf16" else nullcontext()
