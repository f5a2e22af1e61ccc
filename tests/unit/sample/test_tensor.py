"""Frames to the network's input: shapes, units, and finite whatever comes in."""

import numpy as np
import pytest
import torch

from dicomqc.sample.spec import RESNET_2D, X3D_S, FrameSpec
from dicomqc.sample.tensor import normalise, to_tensor

SMALL = FrameSpec(kind="3d", step=2, size=8)
FIXED = FrameSpec(kind="3d", step=2, size=8, normalisation="fixed")


def clip(frames: int = 16, size: int = 8) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (frames, size, size), dtype=np.uint8)


@pytest.mark.parametrize(("spec", "frames"), [(X3D_S, 16), (RESNET_2D, 4)])
def test_the_grey_channel_is_repeated(spec: FrameSpec, frames: int):
    out = to_tensor(clip(frames), spec)
    assert out.shape == (3, frames, 8, 8)
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert torch.equal(out[0], out[2])


def test_per_clip_is_zero_mean_and_unit_spread_over_time_and_space():
    out = to_tensor(clip(), SMALL)[0]
    assert out.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert out.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def test_per_clip_divides_by_no_less_than_the_floor():
    flat = np.full((16, 8, 8), 100, dtype=np.uint8)
    flat[0, 0, 0] = 104
    out = to_tensor(flat, SMALL)
    assert out.max().item() == pytest.approx((104 - flat.mean()) / 8.0, rel=1e-5)


@pytest.mark.parametrize("grey", [0, 1, 255])
@pytest.mark.parametrize("spec", [SMALL, FIXED])
def test_a_constant_clip_is_finite(grey: int, spec: FrameSpec):
    assert torch.isfinite(to_tensor(np.full((16, 8, 8), grey, dtype=np.uint8), spec)).all()


def test_fixed_uses_the_specs_mean_and_std_on_0_to_1():
    out = to_tensor(np.full((16, 8, 8), 255, dtype=np.uint8), FIXED)
    assert out.unique().tolist() == pytest.approx([(1 - 0.45) / 0.225])


def test_a_batch_equals_its_clips_one_by_one():
    clips = np.stack([clip(), np.full((16, 8, 8), 9, dtype=np.uint8), 255 - clip()])
    batch = normalise(torch.from_numpy(clips), SMALL)
    assert batch.shape == (3, 3, 16, 8, 8)
    for one, many in zip(clips, batch, strict=True):
        torch.testing.assert_close(to_tensor(one, SMALL), many)


def test_float_after_augmentation_is_normalised_like_uint8():
    grey = torch.from_numpy(clip())[None]
    torch.testing.assert_close(normalise(grey.to(torch.float32), SMALL), normalise(grey, SMALL))
    torch.testing.assert_close(normalise(grey.to(torch.float64), FIXED), normalise(grey, FIXED))


def test_read_only_frames_are_accepted_and_left_alone():
    frames = clip()
    frames.flags.writeable = False
    before = frames.copy()
    to_tensor(frames, SMALL).zero_()
    assert np.array_equal(frames, before)
