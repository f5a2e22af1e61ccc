"""The network as training needs it: fast depthwise gradients, right ones of few frames, its own dropout, batch norms.

Parameters and their names stay those of the published network.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn import functional

from dicomqc.core.errors import ConfigError
from dicomqc.models import zoo
from training.depthwise import DepthwiseConv3d, can_do


class StridedPointwise(nn.Conv3d):
    """A strided 1x1x1 convolution, on a CPU taken as a plain one of the pixels that it sees.

    oneDNN's own bf16 gradient took ten times as long.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """[N,C,T,H,W] to [N,C',T',H',W']."""
        if input.device.type != "cpu":
            return super().forward(input)
        frames, rows, columns = self.stride
        seen = input[:, :, ::frames, ::rows, ::columns].contiguous(memory_format=torch.channels_last_3d)
        return functional.conv3d(seen, self.weight, self.bias)


class SeesEnoughFrames(nn.Conv3d):
    """A convolution of stride 1 over time that on a CPU is shown empty frames where there are fewer than its kernel has.

    Their outputs are dropped, so that nothing changes but oneDNN's bf16 gradient of the weights, which is wrong for so few
    frames (with oneDNN 3.12 on Zen 5; not for one frame): zeros, what lies in memory, or a write beyond it.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """[N,C,T,H,W] to [N,C',T,H',W']."""
        frames = input.shape[2]
        if input.device.type != "cpu" or not 1 < frames < self.kernel_size[0]:
            return super().forward(input)
        return super().forward(functional.pad(input, (0, 0, 0, 0, 0, self.kernel_size[0] - frames)))[:, :, :frames]


class FramesToo(nn.Module):
    """An X3D's pool over space and time; while it is trained each frame's own pool over space follows, in time's place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N,C,T,H,W] to [N,C,1,1,1], in training to [N,C,1+T,1,1]."""
        frames = x.mean(dim=(3, 4), keepdim=True)
        clip = frames.mean(dim=2, keepdim=True)
        return torch.cat((clip, frames), dim=2) if self.training else clip


class Apart(nn.Module):
    """In place of the mean over outputs: those of the clip and of its frames stay apart."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N,K,1+T,1,1] to the same, as the head flattens it."""
        return x.contiguous()


def tell_frames(model: nn.Module) -> None:
    """Have an X3D answer for every frame beside the clip while it is trained: outputs [N,K(1+T)], K-major, the clip's first.

    No parameter comes or goes: the last layers are asked of the features at a frame's place, pooled over space alone, in which
    its neighbours have a share. Scored, it answers as before.
    """
    head = _blocks(model)[-1]
    head.pool.pool, head.output_pool = FramesToo(), Apart()  # type: ignore[union-attr]


def build(name: str, dropout: float, outputs: int = 1) -> nn.Module:
    """The registry's network in channels-last layout, with `dropout` before the last layer and `outputs` logits."""
    model: nn.Module = zoo.build(name, num_classes=outputs)
    for module in list(model.modules()):
        for child_name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                child.p = dropout
            elif (quick := _quick(child)) is not child:
                setattr(module, child_name, quick)
    for parameter in model.parameters():
        if parameter.ndim == 5:  # noqa: PLR2004 - a 3-D convolution's weights
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return model


def _quick(child: nn.Module) -> nn.Module:
    """The same function with the same parameters, where there is a quicker or a safer one; else what was given."""
    if type(child).__name__ == "Swish":
        # pytorchvideo's own backward is slower and reads a deprecated attribute.
        return nn.SiLU()
    if isinstance(child, nn.Conv3d) and child.groups > 1:
        return DepthwiseConv3d.like(child) if can_do(child) else child
    if isinstance(child, nn.Conv3d) and set(child.kernel_size) == {1} != set(child.stride) and set(child.padding) == {0}:
        # Only its forward differs.
        child.__class__ = StridedPointwise
    elif isinstance(child, nn.Conv3d) and _along_time(child):
        child.__class__ = SeesEnoughFrames
    return child


def _along_time(conv: nn.Conv3d) -> bool:
    """Whether it sees several frames, leaves none out, and sees zeros before the first and behind the last."""
    plain = conv.padding_mode == "zeros" and conv.dilation[0] == conv.stride[0] == 1
    return plain and conv.kernel_size[0] % 2 == 1 and conv.padding[0] == conv.kernel_size[0] // 2 > 0


def initialise(model: nn.Module, name: str) -> None:
    """Fresh weights as X3D's authors draw them: He's normal by fan-out, and residual branches that begin as nothing.

    Other networks keep the weights that their builder draws.
    """
    if not name.startswith("x3d"):
        return
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
        elif isinstance(norm := getattr(module, "norm_c", None), nn.BatchNorm3d):
            nn.init.zeros_(norm.weight)


def start_from(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Take published weights; an output layer of more outputs takes them as its first. ConfigError for another network."""
    state = model.state_dict()
    for key, value in weights.items():
        if key in state and state[key].shape == value.shape:
            state[key] = value
        elif key in state and state[key].shape[1:] == value.shape[1:] and len(value) == 1:
            state[key] = torch.cat([value, state[key][1:]])
    if set(weights) != set(state) or any(state[k][: len(v)].shape != v.shape for k, v in weights.items() if v.ndim):
        raise ConfigError("init: these weights belong to another network than the recipe's")
    model.load_state_dict(state)


def freeze(model: nn.Module, blocks: int) -> None:
    """Keep the weights of an X3D's first `blocks` blocks from training: they cost most of a step."""
    for block in _blocks(model)[:blocks]:
        block.requires_grad_(requires_grad=False)


def train(model: nn.Module) -> None:
    """Training mode for all but what is frozen: its batch norm keeps its statistics too."""
    model.train()
    for block in _blocks(model):
        if not any(parameter.requires_grad for parameter in block.parameters()):
            block.eval()


def _blocks(model: nn.Module) -> list[nn.Module]:
    """An X3D's blocks from its input on; none of the other networks."""
    found = getattr(model, "blocks", ())
    return list(found)


def blend(model: nn.Module, weights: Mapping[str, torch.Tensor], share: float) -> None:
    """Draw the model's weights towards `weights` by `share`; of outputs that these have not, its own stay.

    What fine-tuning forgets beyond its own clips comes back so (Wortsman et al., CVPR 2022). Batch norm is to be re-estimated.
    """
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.is_floating_point() and value.ndim:
                value[: len(weights[key])].lerp_(weights[key].to(value), share)


def scale_logits(model: nn.Module, temperature: float) -> None:
    """Divide every logit by `temperature`, by way of the last linear layer: nothing but a mean follows it."""
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.div_(temperature)


def first_output(model: nn.Module, name: str) -> nn.Module:
    """The network of one logit that equals the first output of `model`: what was only there to teach is left out."""
    single = build(name, 0.0)
    shapes = {key: value.shape for key, value in single.state_dict().items()}
    single.load_state_dict(
        {key: (value if value.shape == shapes[key] else value[:1]).cpu() for key, value in model.state_dict().items()}
    )
    return single.eval()


def reestimate(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set the statistics of batch norms that are not frozen to the plain mean over `batches` [B,C,T,H,W] of the final size."""
    train(model)
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    norms = [m for m in model.modules() if isinstance(m, kinds) and m.training]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()
