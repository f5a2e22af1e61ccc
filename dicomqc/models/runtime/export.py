"""`python -m dicomqc.models.runtime.export VERSION_FOLDER GRAPH.xml`: a version's network as an OpenVINO graph file."""

import os
import sys
import threading
import time
import warnings
from pathlib import Path

import torch
from torch import nn

from dicomqc.models import registry, weights
from dicomqc.models.runtime.grey import grey_clips
from dicomqc.models.runtime.openvino_engine import library
from dicomqc.sample.spec import FrameSpec


def write_graph(network: nn.Module, spec: FrameSpec, graph: Path) -> None:
    """Write `network` ([N,C,T,S,S] → [N,1], in eval mode) as a graph uint8 [1,T,S,S] → float32 [1], weights in fp32."""
    shape = [1, len(spec.frame_numbers()), spec.size, spec.size]
    ov = library()
    # Not constant, so that nothing in the trace can hang on that.
    example = torch.arange(shape[1] * shape[2] * shape[3]).remainder(251).to(torch.uint8).reshape(shape)
    with warnings.catch_warnings():
        # OpenVINO converts by torch.jit.trace, which torch would like to be rid of.
        warnings.simplefilter("ignore", DeprecationWarning)
        converted = ov.convert_model(grey_clips(network, spec), example_input=example, input=[(shape, ov.Type.u8)])
    ov.save_model(converted, graph, compress_to_fp16=False)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    version = registry.read(Path(sys.argv[1]))
    write_graph(weights.load(version), version.card.spec, Path(sys.argv[2]))
