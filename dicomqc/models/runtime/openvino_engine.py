"""OpenVINO on the CPU, the fastest engine there that was measured (docs/benchmarks.md).

Needs the graph that `graphs` keeps on disk and neither torch nor the weights file.
"""

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from dicomqc.models.runtime.protocol import Precision

# Each stream has activations of its own, some 50 MB for X3D-S.
_MOST_STREAMS: Final = 8
_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}


@cache
def library() -> Any:
    """The `openvino` package, kept from reporting its use to its maker. Raises ImportError where it is not installed."""
    # It sends statistics over the network unless this package is absent, for which it has a stub. A node tells nobody anything.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")


class OpenVinoRuntime:
    """A compiled graph uint8 [1,T,S,S] → logit. A lone clip gets every core, several a core each. Not thread-safe."""

    engine: Final = "openvino"
    device: Final = "cpu"

    def __init__(self, graph: Path, precision: Precision, *, threads: int | None = None) -> None:
        """Compile the graph file; null `threads`: one a core. Raises ConfigError where the CPU lacks the precision."""
        core = library().Core()
        # Without the instructions OpenVINO would compute in fp32 and the verdict would say bf16.
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigError("score.precision: this CPU has no bf16 arithmetic; use fp32")
        self.precision: Precision = precision
        options: dict[str, object] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        model = core.read_model(graph)
        lone = core.compile_model(model, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY"})
        self.threads = int(lone.get_property("INFERENCE_NUM_THREADS"))
        self.max_clips = min(self.threads, _MOST_STREAMS)
        streams = {"NUM_STREAMS": self.max_clips, "INFERENCE_NUM_THREADS": self.max_clips}
        parallel = core.compile_model(model, "CPU", {**options, **streams})
        self._lone = lone.create_infer_request()
        self._streams = [parallel.create_infer_request() for _ in range(self.max_clips)]

    def logits(self, frames: NDArray[np.uint8]) -> list[float]:
        """Clips of grey levels uint8 [N,T,S,S] to one logit each."""
        found: list[float] = []
        for start in range(0, len(frames), self.max_clips):
            part = frames[start : start + self.max_clips]
            requests = [self._lone] if len(part) == 1 else self._streams[: len(part)]
            for request, clip in zip(requests, part, strict=True):
                _start(request, clip)
            for request in requests:
                request.wait()
                found.append(float(request.get_output_tensor(0).data[0]))
        return found


def _start(request: Any, clip: NDArray[np.uint8]) -> None:
    place = request.get_input_tensor(0).data[0]
    if clip.shape != place.shape:
        raise RuntimeError(f"a clip of {clip.shape} for a network of {place.shape}")
    place[...] = clip
    request.start_async()
