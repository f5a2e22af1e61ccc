"""The one way from a published version to something that computes: device and precision decide the engine."""

from pathlib import Path
from typing import Literal

import structlog

from dicomqc.core.errors import TransientError
from dicomqc.models.registry import ModelVersion
from dicomqc.models.runtime import device as devices
from dicomqc.models.runtime.graphs import graph_of
from dicomqc.models.runtime.openvino_engine import OpenVinoRuntime
from dicomqc.models.runtime.protocol import Precision, Runtime

log = structlog.get_logger()


def open_runtime(
    model: ModelVersion,
    *,
    device: str,
    precision: Precision,
    cache: Path,
    engine: Literal["openvino", "torch"] | None = None,
    threads: int | None = None,
) -> Runtime:
    """Load a version on `auto`, `cpu`, `cuda` or `cuda:N`; its files must have been verified.

    Without an `engine`: OpenVINO on a CPU, PyTorch where that is not installed or cannot convert the network, and on a GPU.
    `threads` is OpenVINO's. Raises ConfigError, IntegrityError; TransientError where a named engine cannot be had.
    """
    where = devices.select(device)
    if where == devices.CPU and engine != "torch":
        try:
            with graph_of(model, cache) as graph:
                return OpenVinoRuntime(graph, precision, threads=threads)
        except (ImportError, TransientError, RuntimeError) as error:
            # RuntimeError: OpenVINO's own, of a graph in the cache that it cannot read.
            if engine == "openvino":
                raise TransientError(f"the engine openvino is not available: {error}") from error
            log.warning("engine_replaced", engine="torch", error=type(error).__name__, reason=str(error)[:200])
    from dicomqc.models import weights  # noqa: PLC0415 - torch, on demand
    from dicomqc.models.runtime.torch_engine import TorchRuntime  # noqa: PLC0415

    return TorchRuntime(weights.load(model), model.card.spec, device=where, precision=precision)
