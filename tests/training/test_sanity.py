from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training import baseline, metrics, sanity
from training.data.cines import Clips
from training.data.splits import Split
from training.recipe import load

_RECIPE = load(Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml")
_SIZE = 32


def _clips(count: int, place: slice, frames: int = 8) -> Clips:
    """Unsatisfactory clips have a bright patch at `place` in their last frame only."""
    rng = np.random.default_rng(1)
    grey = rng.integers(60, 120, (count, frames, _SIZE, _SIZE), dtype=np.uint8)
    labels = np.array([0, 1] * (count // 2), np.float32)
    grey[labels > 0, -1, place, place] = 250
    return Clips(frames=grey, labels=labels, patients=tuple(map(str, range(count))), kinds=("k",) * count, margin=0)


class _Late(nn.Module):
    """Looks at the brightest pixel of the last frame, through one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(3, 1, 1, bias=False)
        nn.init.constant_(self.convolution.weight, 1.0)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.convolution(values)[:, :, -1].amax(dim=(2, 3))


def _aucs(place: slice) -> dict[str, float]:
    clips = _clips(20, place)
    return sanity.aucs(_RECIPE, _Late(), clips, range(20), seed=0, device=torch.device("cpu"))


def test_a_network_that_uses_time_falls_when_time_is_taken_away() -> None:
    found = _aucs(slice(12, 18))
    assert found["as sampled"] == 1.0
    assert found["border masked"] == 1.0
    assert found["frames reversed"] < 0.8
    assert found["one frame repeated"] < 0.8
    assert found["border alone"] < 0.8
    assert set(found) == {"as sampled", *sanity.CHANGES}


def test_a_network_that_looks_at_the_border_falls_when_it_is_masked() -> None:
    found = _aucs(slice(0, 3))
    assert found["as sampled"] == found["border alone"] == 1.0
    assert found["border masked"] < 0.8


def test_every_change_keeps_shape_and_type_and_a_shuffle_keeps_the_frames() -> None:
    frames = _clips(4, slice(0, 3)).frames
    for change in sanity.CHANGES.values():
        changed = change(frames, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == (frames.shape, np.uint8)
    mixed = sanity.shuffled(frames, np.random.default_rng(0))
    assert not np.array_equal(mixed, frames)
    assert np.array_equal(np.sort(mixed, axis=1), np.sort(frames, axis=1))


def test_vessels_are_removed_or_left_alone_by_their_mask() -> None:
    clip = np.full((2, _SIZE, _SIZE), 150, np.uint8)
    mask = np.zeros(clip.shape, bool)
    mask[:, 10:13] = True
    clip[mask] = 40
    assert np.abs(sanity.vessels_removed(clip, mask).astype(int) - 150).max() <= 5
    alone = sanity.vessels_alone(clip, mask)
    assert (alone[mask] == 40).all()
    assert np.unique(alone[~mask]).tolist() == [150]


def test_relabelled_clips_have_the_same_labels_in_another_order() -> None:
    clips = _clips(20, slice(0, 3))
    other = sanity.relabelled(clips, 1)
    assert other.labels.sum() == clips.labels.sum()
    assert not np.array_equal(other.labels, clips.labels)


class _Patch(nn.Module):
    """Convolution, then the mean over one corner alone."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        kind = nn.Conv3d if dimensions == 3 else nn.Conv2d
        self.features = kind(3, 2, 3, padding=1)
        nn.init.constant_(self.features.weight, 0.1)
        nn.init.zeros_(self.features.bias)
        self.pooled = kind(2, 2, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.dimensions == 2:
            values = values.transpose(1, 2).flatten(0, 1)
        maps = self.features(values).relu()
        self.pooled(maps.mean(dim=tuple(range(2, maps.ndim)), keepdim=True))
        return maps[..., :8, :8].mean().view(1, 1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_grad_cam_has_the_clips_shape_and_mass_one_and_finds_what_counts(dimensions: int) -> None:
    model = _Patch(dimensions)
    clip = torch.zeros(1, 3, 4, _SIZE, _SIZE)
    clip[:, :, :, 2:6, 2:6] = 1.0
    layer = sanity.last_map(model, clip)
    assert layer is model.features
    heat = sanity.grad_cam(model, layer, clip)
    assert heat.shape == (4, _SIZE, _SIZE)
    assert heat.sum() == pytest.approx(1.0)
    mask = np.zeros(heat.shape, bool)
    mask[:, :8, :8] = True
    inside, area = sanity.mass(heat, mask)
    assert inside > 5 * area
    assert sanity.grad_cam(model, layer, clip, sign=-1.0).sum() == 0.0


def test_dark_lines_are_vessels_and_bright_ones_or_planes_are_not() -> None:
    frame = np.full((_SIZE, _SIZE), 150, np.uint8)
    assert baseline.vesselness(frame).max() < 1e-3
    dark, bright = frame.copy(), frame.copy()
    dark[:, 15:18], bright[:, 15:18] = 60, 240
    assert baseline.vesselness(dark)[:, 16].min() > 10 * baseline.vesselness(bright)[:, 16].max()


def test_the_baseline_tells_clips_with_lines_from_clips_without_and_nothing_from_noise() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(140, 160, (96, 2, _SIZE, _SIZE), dtype=np.uint8)
    labels = np.array([0, 1] * 48, np.float32)
    clips = Clips(frames=frames, labels=labels, patients=tuple(map(str, range(96))), kinds=("k",) * 96, margin=0)
    split = Split(train=tuple(range(48)), validation=tuple(range(48, 72)), test=tuple(range(72, 96)))
    assert 0.2 < baseline.auc(clips, split, 0) < 0.8
    drawn = frames.copy()
    drawn[labels == 0, :, :, 10:13] = 60
    assert baseline.auc(replace(clips, frames=drawn), split, 0) > 0.95
    assert metrics.auc(labels.astype(float), drawn.mean(axis=(1, 2, 3)).astype(float)) > 0.9
