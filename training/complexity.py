"""What each model costs: parameters and multiply-accumulates as the paper counted them, the honest figure per clip, and time.

The counts are ptflops' own, which the paper used (0.7.2.2): it counts ReLU and pooling too, and so does the paper's Table 3.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import nn

from dicomqc.models import torchvision_remedy, zoo
from dicomqc.models.resnet import FrameMean
from dicomqc.models.runtime.export import write_graph
from dicomqc.models.runtime.openvino_engine import OpenVinoRuntime
from dicomqc.models.runtime.protocol import Runtime
from dicomqc.models.runtime.torch_engine import TorchRuntime
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise

Engine = Literal["eager", "torch", "openvino"]
ENGINES: Final[tuple[Engine, ...]] = ("eager", "torch", "openvino")
# Channels, frames, rows and columns that the paper's (X3D-L: the journal version's) MACs were counted on: for 2D models one
# frame; for 3D ResNets not the 160×160 of its text.
COUNTED: Final = {
    "resnet18_2d": (3, 1, 299, 299),
    "resnet152_2d": (3, 1, 299, 299),
    "resnet18_3d": (3, 16, 299, 299),
    "resnet152_3d": (3, 16, 299, 299),
    "x3d_s": (3, 16, 160, 160),
    "x3d_l": (3, 16, 312, 312),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A row of the paper's Table 3, as printed: millions, G, frames ÷ latency on a V100, ms per clip; null: not given."""

    parameters_m: float
    macs_g: float
    fps: float | None = None
    ms_per_clip: float | None = None


PAPER: Final = {
    "resnet18_2d": Published(parameters_m=11.18, macs_g=3.41, fps=164.5, ms_per_clip=24.31),
    "resnet152_2d": Published(parameters_m=58.15, macs_g=21.46, fps=207.1, ms_per_clip=19.32),
    "resnet18_3d": Published(parameters_m=33.2, macs_g=59.79, fps=268.8, ms_per_clip=67.99),
    "resnet152_3d": Published(parameters_m=117.41, macs_g=136.11, fps=239.2, ms_per_clip=66.90),
    "x3d_s": Published(parameters_m=2.98, macs_g=2.56, fps=267.4, ms_per_clip=59.83),
    "x3d_l": Published(parameters_m=5.34, macs_g=19.34),
}


def count(architecture: str) -> dict[str, Any]:
    """Parameters and MACs of one network, its paper's figures, and the difference at the digits that are printed there."""
    spec = zoo.ARCHITECTURES[architecture].spec
    counted = COUNTED[architecture]
    # The meta device: shapes without numbers. The counting itself must stand outside, or everything counts three times.
    with torch.device("meta"):
        network = zoo.build(architecture)
    single = network.frame if isinstance(network, FrameMean) else network
    frames = len(spec.frame_numbers())
    parameters, macs = _ptflops(single, counted if spec.kind == "3d" else (counted[0], *counted[2:]))
    whole = (spec.channels, frames, spec.size, spec.size)
    macs_clip = frames * macs if spec.kind == "2d" else _ptflops(network, whole)[1]
    paper = PAPER[architecture]
    return {
        "name": architecture,
        "title": zoo.ARCHITECTURES[architecture].title,
        "parameters": parameters,
        "macs": macs,
        "macs_input": _times(counted[1:]),
        "macs_clip": macs_clip,
        "clip_input": _times((frames, spec.size, spec.size)),
        "paper_parameters_m": paper.parameters_m,
        "paper_macs_g": paper.macs_g,
        "paper_fps": paper.fps,
        "paper_ms_per_clip": paper.ms_per_clip,
        "difference_parameters_m": round(round(parameters / 1e6, 2) - paper.parameters_m, 2),
        "difference_macs_g": round(round(macs / 1e9, 2) - paper.macs_g, 2),
    }


def measure(architecture: str, engines: Sequence[Engine], *, repeats: int) -> Iterator[dict[str, Any]]:
    """Time one clip a call on this machine's CPU, engine by engine in turn within each round, so that noise falls on all alike.

    `eager` is stock PyTorch on three equal channels. The network has fresh weights: they do not change the time.
    """
    torch.manual_seed(0)
    spec, network = zoo.ARCHITECTURES[architecture].spec, zoo.build(architecture).eval()
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (1, len(spec.frame_numbers()), spec.size, spec.size), dtype=np.uint8)
    runtimes = {engine: _open(engine, network, spec) for engine in engines}
    seconds: dict[Engine, list[float]] = {engine: [] for engine in engines}
    for _ in range(repeats):
        for engine, runtime in runtimes.items():
            # Untimed: the engine before has left its own data in the caches and its threads awake.
            runtime.logits(clip)
            began = time.perf_counter()
            runtime.logits(clip)
            seconds[engine].append(time.perf_counter() - began)
    for engine, runtime in runtimes.items():
        ms = [1000.0 * s for s in seconds[engine]]
        median = statistics.median(ms)
        yield {
            "engine": engine,
            "precision": runtime.precision,
            "threads": runtime.threads,
            "ms_per_clip": round(median, 2),
            "ms_min": round(min(ms), 2),
            "ms_max": round(max(ms), 2),
            "fps": round(1000.0 * len(spec.frame_numbers()) / median, 1),
        }


class _Eager:
    """Stock PyTorch, nothing folded: the baseline of every ratio."""

    engine, precision, device, max_clips = "torch", "fp32", "cpu", 1

    def __init__(self, network: nn.Module, spec: FrameSpec) -> None:
        self.threads = torch.get_num_threads()
        self._network, self._spec = network, spec

    def logits(self, frames: np.ndarray[Any, np.dtype[np.uint8]]) -> list[float]:
        """Clips of grey levels uint8 [N,T,S,S] to one logit each."""
        with torch.inference_mode():
            found: list[float] = self._network(normalise(torch.from_numpy(frames), self._spec)).flatten().tolist()
        return found


def _open(engine: Engine, network: nn.Module, spec: FrameSpec) -> Runtime:
    if engine == "eager":
        return _Eager(network, spec)
    if engine == "torch":
        return TorchRuntime(network, spec, device="cpu", precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.xml"
        write_graph(network, spec, graph)
        return OpenVinoRuntime(graph, "fp32")


def _ptflops(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    torchvision_remedy.ensure()
    from ptflops import get_model_complexity_info  # noqa: PLC0415 - imports torchvision, so only after the remedy

    macs, parameters = get_model_complexity_info(
        network, shape, as_strings=False, print_per_layer_stat=False, verbose=False, backend="pytorch"
    )
    if macs is None or parameters is None:
        raise RuntimeError("ptflops could not count the network")
    return int(parameters), int(macs)


def _times(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))
