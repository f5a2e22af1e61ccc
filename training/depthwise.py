"""Depthwise 3-D convolutions whose gradient a CPU takes quickly.

oneDNN has no depthwise kernel for the gradient of a 3-D convolution and spends three quarters of an X3D's training step in a
reference loop. Its 2-D kernels are fast, and a 3-D kernel is a sum of 2-D ones, one to a frame of its own: this takes the
gradient so. The sums are those of PyTorch in another order, so figures differ in the last digits.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class DepthwiseConv3d(nn.Conv3d):
    """A depthwise convolution that takes its own gradient on a CPU, the weights' always in their own precision."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """[N,C,T,H,W] to [N,C,T',H',W']."""
        if input.device.type != "cpu":
            return super().forward(input)
        mixed = torch.is_autocast_enabled("cpu")
        values = input.to(torch.get_autocast_dtype("cpu") if mixed else self.weight.dtype)
        with torch.autocast("cpu", enabled=False):
            return _Convolve.apply(values, self.weight, self.stride, self.padding)  # type: ignore[no-untyped-call, no-any-return]

    @classmethod
    def like(cls, conv: nn.Conv3d) -> "DepthwiseConv3d":
        """The same convolution with the same parameters; TypeError where it is none that this can do."""
        if not can_do(conv):
            raise TypeError(f"{conv}: a depthwise convolution that keeps the frames is expected")
        kernel, stride, padding = _three(conv.kernel_size), _three(conv.stride), _three(conv.padding)
        with torch.device("meta"):
            made = cls(conv.in_channels, conv.out_channels, kernel, stride, padding, groups=conv.groups, bias=False)
        made.weight = conv.weight
        return made


def can_do(conv: nn.Conv3d) -> bool:
    """Whether it is a depthwise convolution that keeps the frames: odd kernels, zeros around, none left out, no bias."""
    kernel = conv.kernel_size
    depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.bias is None
    same = conv.padding == tuple(k // 2 for k in kernel) and all(k % 2 for k in kernel) and conv.stride[0] == 1
    return depthwise and same and set(conv.dilation) == {1} and conv.padding_mode == "zeros"


def _three(values: object) -> tuple[int, int, int]:
    if not isinstance(values, tuple) or len(values) != 3:  # noqa: PLR2004 - time, rows, columns
        raise TypeError(f"{values!r}: three numbers are expected")
    return values


class _Convolve(torch.autograd.Function):
    """x [N,C,T,H,W] by weights [C,1,t,h,w], in the precision of x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: Any, padding: Any) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last_3d)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv3d(x, weight.to(x.dtype), None, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last_3d)
        by_input = _by_input(x, weight.to(x.dtype), gradient, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        by_weight = _by_weight(x, weight, gradient, ctx.stride, ctx.padding)
        return by_input, by_weight, None, None


def _by_input(x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: Any, padding: Any) -> torch.Tensor:
    if set(stride) != {1}:
        # oneDNN is quicker at a whole plane, zeros and all, than at the gradient of a strided kernel.
        spread = torch.zeros_like(x, memory_format=torch.channels_last_3d)
        spread[:, :, :, :: stride[1], :: stride[2]] = gradient
        gradient = spread
    # The kernel turned round is the gradient's own.
    return functional.conv3d(gradient, weight.flip(2, 3, 4), None, 1, padding, 1, x.shape[1])


def _by_weight(x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: Any, padding: Any) -> torch.Tensor:
    """In the precision of the weights: oneDNN's bf16 kernel is slower here, and would round the sums."""
    if weight.shape[3:] == (1, 1) and set(stride) == {1}:
        # Along time only: each pixel's frames are a column.
        given, seen = gradient.to(weight.dtype).flatten(3), x.to(weight.dtype).flatten(3)
        return _gradient(given, seen, weight[..., 0], (1, 1), (padding[0], 0)).unsqueeze(-1)
    given, seen = _frames(gradient, weight.dtype), _frames(x, weight.dtype)
    taps = []
    for tap in range(weight.shape[2]):
        at, to = _ends(len(seen), (tap - padding[0]) * len(x))
        taps.append(_gradient(given[at], seen[to], weight[:, :, tap], stride[1:], padding[1:]))
    return torch.stack(taps, dim=2)


def _frames(cine: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[N,C,T,H,W] as its frames [T·N,C,H,W], all clips' first ones first: a shift in time then meets no other clip's end."""
    turned = cine.permute(2, 0, 3, 4, 1).to(dtype, memory_format=torch.contiguous_format).contiguous()
    return turned.flatten(0, 1).permute(0, 3, 1, 2)


def _ends(count: int, shift: int) -> tuple[slice, slice]:
    """Of all frames in a row, those of the output that have a frame `shift` further on, and those frames of the input."""
    left = max(count - abs(shift), 0)
    at, to = max(-shift, 0), max(shift, 0)
    return slice(at, at + left), slice(to, to + left)


def _gradient(gradient: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor, stride: Any, padding: Any) -> torch.Tensor:
    """A depthwise 2-D convolution's gradient by its kernel."""
    found: torch.Tensor = torch.ops.aten.convolution_backward(
        gradient, x, kernel, None, list(stride), list(padding), [1, 1], False, [0, 0], x.shape[1], [False, True, False]
    )[1]
    return found
