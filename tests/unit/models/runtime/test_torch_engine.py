"""The PyTorch engine on a CPU, and those of its promises to a GPU that need none: halving, the layout by measurement."""

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models.runtime import torch_engine
from dicomqc.models.runtime.torch_engine import TorchRuntime, fastest_layout, in_layout
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise
from tests.support.clips import structured
from tests.unit.models.runtime.test_grey import small

SPEC = FrameSpec(kind="3d", step=8, size=24)


def test_logits_are_those_of_the_stock_network() -> None:
    network, frames = small("3d"), structured(SPEC, 3)
    frames.flags.writeable = False
    runtime = TorchRuntime(network, SPEC, device="cpu", precision="fp32")
    with torch.no_grad():
        expected = network(normalise(torch.from_numpy(frames.copy()), SPEC))[:, 0].tolist()
    assert runtime.logits(frames) == pytest.approx(expected, abs=1e-5)
    assert (runtime.engine, runtime.device, runtime.precision, runtime.max_clips) == ("torch", "cpu", "fp32", 1)


def test_bf16_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"score\.precision"):
        TorchRuntime(small("3d"), SPEC, device="cpu", precision="bf16")


def test_a_device_without_memory_for_all_clips_gets_half_of_them() -> None:
    runtime, asked = TorchRuntime(small("3d"), SPEC, device="cpu", precision="fp32"), []
    runtime.max_clips = 8

    def short_of_memory(frames: torch.Tensor) -> torch.Tensor:
        asked.append(len(frames))
        if len(frames) > 2:
            raise torch.OutOfMemoryError("made up")
        return frames[:, 0, 0, 0].float()

    runtime._call = short_of_memory
    frames = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 4, 24, 24), np.uint8)
    assert runtime.logits(frames) == [0, 1, 2, 3, 4, 5, 6]
    assert asked == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert runtime.max_clips == 1


def test_a_device_without_memory_for_one_clip_fails() -> None:
    runtime = TorchRuntime(small("3d"), SPEC, device="cpu", precision="fp32")

    def never(frames: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("made up")

    runtime._call = never
    with pytest.raises(RuntimeError):
        runtime.logits(structured(SPEC))


@pytest.mark.parametrize("quick", ["contiguous", "channels_last"])
def test_the_layout_is_the_one_that_took_less_time(quick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv3d(2, 2, 3), nn.Conv2d(2, 2, 3))

    def clock(_: object) -> float:
        last = network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
        last &= network[1].weight.is_contiguous(memory_format=torch.channels_last)
        return 1.0 if last == (quick == "channels_last") else 2.0

    monkeypatch.setattr(torch_engine, "_seconds", clock)
    assert fastest_layout(network, lambda: None) == quick
    in_layout(network, "contiguous")
    assert network[0].weight.is_contiguous()
    assert network[1].weight.is_contiguous()
