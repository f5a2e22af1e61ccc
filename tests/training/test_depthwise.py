import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from training import network, precision
from training.depthwise import DepthwiseConv3d


def _gradients(conv: nn.Conv3d, clip: torch.Tensor, outcome: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    clip = clip.clone().requires_grad_(requires_grad=True)
    result = conv(clip)
    by_input, by_weight = torch.autograd.grad((result * outcome).sum(), (clip, conv.weight))
    return result, by_input, by_weight


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 2, 2)), ((5, 1, 1), (1, 1, 1)), ((1, 3, 3), (1, 2, 2))]
)
def test_its_gradients_are_those_of_torch(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], clips: int, frames: int
) -> None:
    torch.manual_seed(0)
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    plain = nn.Conv3d(6, 6, kernel, stride, padding, groups=6, bias=False).double()
    clip = torch.randn(clips, 6, frames, 9, 7, dtype=torch.float64)
    outcome = torch.randn_like(plain(clip))
    expected = _gradients(plain, clip, outcome)
    found = _gradients(DepthwiseConv3d.like(plain), clip, outcome)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 2, 2)), ((5, 1, 1), (1, 1, 1))])
def test_in_mixed_precision_only_the_inputs_are_rounded(kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    plain = nn.Conv3d(6, 6, kernel, stride, padding, groups=6, bias=False)
    with torch.no_grad():
        plain.weight.copy_(plain.weight.bfloat16())
    clip = torch.randn(2, 6, 4, 9, 7).bfloat16().float()
    outcome = torch.randn_like(plain(clip)).bfloat16().float()
    expected = _gradients(plain, clip, outcome)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _gradients(DepthwiseConv3d.like(plain), clip, outcome)
    assert found[0].dtype == torch.bfloat16
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        assert torch.allclose(mine.float(), theirs, rtol=2**-8, atol=2**-8)
    assert torch.allclose(found[2], expected[2], rtol=1e-4, atol=1e-4)


def test_a_strided_pointwise_convolution_is_that_of_torch() -> None:
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 6, 1, (1, 2, 2), bias=False).double()
    quick = network.StridedPointwise(4, 6, 1, (1, 2, 2), bias=False).double()
    quick.weight = plain.weight
    clip = torch.randn(2, 4, 3, 9, 7, dtype=torch.float64)
    outcome = torch.randn_like(plain(clip))
    for mine, theirs in zip(_gradients(quick, clip, outcome), _gradients(plain, clip, outcome), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_every_strided_pointwise_convolution_of_x3d_is_replaced() -> None:
    strided = [m for m in network.build("x3d_s", 0.0).modules() if isinstance(m, nn.Conv3d) and set(m.kernel_size) == {1}]
    strided = [m for m in strided if set(m.stride) != {1}]
    assert len(strided) == 4
    assert all(isinstance(m, network.StridedPointwise) for m in strided)


_OTHERS = {
    "plain": nn.Conv3d(4, 8, 3, padding=1),
    "more outputs": nn.Conv3d(4, 8, 3, padding=1, groups=4, bias=False),
    "two groups": nn.Conv3d(4, 4, 3, padding=1, groups=2, bias=False),
    "strided and 1x1x1": nn.Conv3d(4, 4, 1, (1, 2, 2), groups=2, bias=False),
    "a bias": nn.Conv3d(4, 4, 3, padding=1, groups=4),
    "dilated": nn.Conv3d(4, 4, 3, padding=1, dilation=2, groups=4, bias=False),
    "other padding": nn.Conv3d(4, 4, 3, padding=1, groups=4, bias=False, padding_mode="circular"),
    "padding by name": nn.Conv3d(4, 4, 3, padding="same", groups=4, bias=False),
}


@pytest.mark.parametrize("other", _OTHERS.values(), ids=_OTHERS.keys())
def test_a_convolution_that_it_cannot_do_is_refused_and_left_alone_in_a_network(other: nn.Conv3d) -> None:
    with pytest.raises(TypeError, match="depthwise"):
        DepthwiseConv3d.like(other)
    assert network._quick(other) is other
    assert type(other) is (nn.Conv3d if other.groups > 1 else network.SeesEnoughFrames)


def test_every_depthwise_convolution_of_x3d_is_replaced_and_no_name_changes() -> None:
    built = network.build("x3d_s", 0.0)
    depthwise = [m for m in built.modules() if isinstance(m, nn.Conv3d) and m.groups > 1]
    assert len(depthwise) == 27
    assert all(isinstance(m, DepthwiseConv3d) for m in depthwise)


@pytest.mark.parametrize(("kernel", "frames"), [(3, 1), (3, 2), (3, 4), (7, 4)])
def test_a_convolution_of_fewer_frames_than_its_kernel_is_the_same_function(kernel: int, frames: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 6, (kernel, 3, 3), (1, 2, 2), (kernel // 2, 1, 1), bias=False).double()
    safe = network._quick(copy.deepcopy(plain))
    assert isinstance(safe, network.SeesEnoughFrames)
    clip = torch.randn(2, 4, frames, 9, 7, dtype=torch.float64)
    outcome = torch.randn_like(plain(clip))
    for mine, theirs in zip(_gradients(safe, clip, outcome), _gradients(plain, clip, outcome), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not precision.bf16(torch.device("cpu")), reason="a processor without bf16 computes in fp32")
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_bf16_gradients_of_few_frames_are_those_of_fp32_but_for_rounding(frames: int, stride: int) -> None:
    torch.manual_seed(0)
    safe = network._quick(nn.Conv3d(64, 64, 3, stride, 1, bias=False))
    assert isinstance(safe, nn.Conv3d)
    clip = torch.randn(2, 64, frames, 5, 5)
    outcome = torch.randn_like(safe(clip))
    exact = _gradients(safe, clip, outcome)[2]
    with precision.autocast(torch.device("cpu")):
        rounded = _gradients(safe, clip, outcome)[2]
    assert functional.cosine_similarity(rounded.flatten(), exact.flatten(), dim=0) > 0.999


def test_every_3d_convolution_of_a_resnet_that_keeps_the_frames_is_safe() -> None:
    kept = [
        m
        for m in network.build("resnet18_3d", 0.0).modules()
        if isinstance(m, nn.Conv3d) and m.kernel_size[0] > m.stride[0] == 1
    ]
    assert kept
    assert all(isinstance(m, network.SeesEnoughFrames) for m in kept)
