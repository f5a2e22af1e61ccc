"""Clips a second on a GPU: `make bench-gpu`, or `python -m tests.benchmarks.bench_gpu [--device cuda:0] [--models …]`.

The node's engine beside stock PyTorch eager, by model, precision and clips a call, and beside the ceiling that the device's own
copy speed sets on the tensors that the network must move. Prints JSON. `--device cpu` rehearses it where there is no GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from dicomqc import logs
from dicomqc.models import zoo
from dicomqc.models.runtime.torch_engine import TorchRuntime
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise

BYTES = {"fp32": 4, "bf16": 2}
COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 28}


def median_seconds(call: Callable[[], object], repeats: int) -> dict[str, float]:
    for _ in range(3):
        call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return {"min": min(taken), "median": statistics.median(taken), "max": max(taken)}


def moved_values(architecture: str) -> dict[str, int]:
    """Values a clip that leaf modules read and write: of all of them, and of convolutions alone (the rest fused into these)."""
    with torch.device("meta"):
        network = zoo.build(architecture).eval()
    moved = {"unfused": 0, "fused": 0}

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        values = sum(x.numel() for x in inputs) + output.numel()
        moved["unfused"] += values
        moved["fused"] += values if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear) else 0

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    spec = zoo.ARCHITECTURES[architecture].spec
    network(torch.zeros(1, spec.channels, len(spec.frame_numbers()), spec.size, spec.size, device="meta"))
    return moved


def copy_bytes_per_second(device: torch.device) -> float:
    """Bytes read and written a second by a plain copy on the device."""
    count = COPIED_BYTES[device.type]
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> float:
        target.copy_(source)
        return target[-1].item()

    return 2 * count / median_seconds(copy, 9)["min"]


def eager(network: nn.Module, spec: FrameSpec, device: torch.device, precision: str) -> Callable[[np.ndarray], list[float]]:
    """Stock PyTorch, nothing folded, three channels."""

    def logits(frames: np.ndarray) -> list[float]:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            found: list[float] = network(normalise(torch.from_numpy(frames).to(device), spec)).flatten().float().tolist()
        return found

    return logits


def rows_of(architecture: str, precision: Any, device: torch.device, options: argparse.Namespace, copy: float) -> list[Any]:
    torch.manual_seed(0)
    spec, network = zoo.ARCHITECTURES[architecture].spec, zoo.build(architecture).eval()
    runtime = TorchRuntime(network, spec, device=str(device), precision=precision)
    stock = eager(network.to(device), spec, device, precision)
    ceilings = {k: copy / (v * BYTES[precision]) for k, v in moved_values(architecture).items()}
    rows = []
    for clips in options.clips:
        shape = (clips, len(spec.frame_numbers()), spec.size, spec.size)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        # On a CPU the runtime takes one clip a call; a call here is all clips.
        ours = median_seconds(lambda: runtime.logits(frames), options.repeats)
        theirs = median_seconds(lambda: stock(frames), options.repeats)
        rate = clips / ours["median"]
        rows.append(
            {
                "model": architecture,
                "precision": precision,
                "clips_a_call": clips,
                "layout": runtime.layout,
                "seconds": ours,
                "eager_seconds": theirs,
                "clips_per_second": round(rate, 1),
                "over_eager": round(theirs["median"] / ours["median"], 2),
                **{f"ceiling_{k}_clips_per_second": round(v, 1) for k, v in ceilings.items()},
                "share_of_fused_ceiling": round(rate / ceilings["fused"], 3),
                "logit_shift_from_eager": float(np.abs(np.subtract(runtime.logits(frames), stock(frames))).max()),
            }
        )
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(zoo.ARCHITECTURES))
    parser.add_argument("--precisions", type=lambda text: text.split(","), default=["fp32", "bf16"])
    parser.add_argument("--clips", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    logs.configure("console", stage="bench")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("MISSING: a GPU; --device cpu rehearses this script without one")
    copy = copy_bytes_per_second(device)
    rows = [r for name in options.models for p in options.precisions for r in rows_of(name, p, device, options, copy)]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        json.dumps(
            {"device": name, "torch": torch.__version__, "copy_gb_per_second": round(copy / 1e9, 1), "rows": rows}, indent=1
        )
    )


if __name__ == "__main__":
    main()
