"""Grey levels in, logits out: the same function as the network on three equal channels, folded or not."""

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.models.resnet import FrameMean
from dicomqc.models.runtime.grey import grey_clips
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import normalise
from tests.support.clips import structured

SPEC_3D = FrameSpec(kind="3d", step=8, size=24)
SPEC_2D = FrameSpec(kind="2d", step=8, size=24)


def seeded(network: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own, as training leaves them."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def small(kind: str) -> nn.Module:
    torch.manual_seed(1)
    conv, norm, pool = (
        (nn.Conv3d, nn.BatchNorm3d, nn.AdaptiveAvgPool3d) if kind == "3d" else (nn.Conv2d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d)
    )
    net = nn.Sequential(conv(3, 8, 3, stride=2), norm(8), nn.ReLU(), conv(8, 4, 1), pool(1), nn.Flatten(), nn.Linear(4, 1))
    return seeded(net if kind == "3d" else FrameMean(net))


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("normalisation", ["per_clip", "fixed"])
@pytest.mark.parametrize("kind", ["3d", "2d"])
def test_one_grey_channel_is_three_equal_ones(kind: str, normalisation: str, folded: bool) -> None:
    spec = FrameSpec(kind=kind, step=8, size=24, normalisation=normalisation)
    network = small(kind)
    frames = torch.from_numpy(structured(spec, 3))
    with torch.no_grad():
        expected = network(normalise(frames, spec))[:, 0]
        found = grey_clips(network, spec, folded=folded)(frames)
    assert found.shape == (3,)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_network_that_was_given_stays_as_it_was() -> None:
    network = small("3d")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    grey_clips(network, SPEC_3D, folded=True)
    grey_clips(network, SPEC_3D)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert any(isinstance(m, nn.BatchNorm3d) for m in network.modules())


def test_folding_leaves_no_batch_norm() -> None:
    kinds = (nn.BatchNorm2d, nn.BatchNorm3d)
    for kind, spec in (("3d", SPEC_3D), ("2d", SPEC_2D)):
        assert any(isinstance(m, kinds) for m in grey_clips(small(kind), spec).modules())
        assert not any(isinstance(m, kinds) for m in grey_clips(small(kind), spec, folded=True).modules())


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_constant_clip_has_a_finite_logit(grey: int) -> None:
    frames = torch.full((1, 4, 24, 24), grey, dtype=torch.uint8)
    assert torch.isfinite(grey_clips(small("3d"), SPEC_3D)(frames)).all()


def test_a_network_that_does_not_begin_with_the_clips_channels_is_refused() -> None:
    network = nn.Sequential(nn.Conv3d(4, 8, 3), nn.Flatten(), nn.LazyLinear(1)).eval()
    with pytest.raises(ValueError, match="first convolution"):
        grey_clips(network, SPEC_3D)


def test_the_mean_of_frames_is_the_mean_of_their_logits() -> None:
    frame = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 2))
    clips = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 4, 24, 24)).astype(np.float32))
    with torch.no_grad():
        expected = torch.stack([frame(clips[:, :, t]) for t in range(4)]).mean(dim=0)
        torch.testing.assert_close(FrameMean(frame)(clips), expected)
