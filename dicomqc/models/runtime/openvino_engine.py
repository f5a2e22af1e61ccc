"""OpenVINO on the CPU: one clip a call on every core, which is the fastest that was measured (docs/benchmarks.md).

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

_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}


@cache
def library() -> Any:
    """The `openvino` package, kept from reporting its use to its maker. Raises ImportError where it is not installed."""
    # It sends statistics over the network unless this package is absent, for which it has a stub. A node tells nobody anything.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")


class OpenVinoRuntime:
    """A compiled graph uint8 [1,T,S,S] → logit. Not for several threads at once."""

    engine: Final = "openvino"
    device: Final = "cpu"
    max_clips: Final = 1

    def __init__(self, graph: Path, precision: Precision, *, threads: int | None = None) -> None:
        """Compile the graph file; null `threads`: one a core. Raises ConfigError where the CPU lacks the precision."""
        ov = library()
        core = ov.Core()
        # Without the instructions OpenVINO would compute in fp32 and the verdict would say bf16.
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigError("score.precision: this CPU has no bf16 arithmetic; use fp32")
        options: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(core.read_model(graph), "CPU", options)
        self.precision: Precision = precision
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._request = compiled.create_infer_request()
        self._input = self._request.get_input_tensor(0).data
        self._output = self._request.get_output_tensor(0).data

    def logits(self, frames: NDArray[np.uint8]) -> list[float]:
        """Clips of grey levels uint8 [N,T,S,S] to one logit each."""
        found = []
        for clip in frames:
            if clip.shape != self._input.shape[1:]:
                raise RuntimeError(f"a clip of {clip.shape} for a network of {self._input.shape[1:]}")
            self._input[0] = clip
            self._request.infer()
            found.append(float(self._output[0]))
        return found
