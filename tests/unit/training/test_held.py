"""One frame held: which one, what must be said of it, and that a network for which stillness is a sign is found out."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from training import group_tables, held
from training.data.cines import Clips
from training.recipe import Recipe, load
from training.results import Result

_COUNT, _SIZE = 24, 160
_FILLING = (0.0,) * 8 + (0.5, 0.7, 0.8, 0.9, 1.0, 0.9, 0.8, 0.8)
_LITTLE = (0.5,) * 5 + (0.3,) + (0.5,) * 10
_UNCLEAR = (0.5, 0.7) * 8
_CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load(Path(__file__).resolve().parents[3] / "config" / "training" / "x3d_s_demo.yaml")


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Satisfactory ones are dark where they fill; of the others a third are grafts, and a third is nowhere clear."""
    frames = np.full((_COUNT, 18, _SIZE, _SIZE), 160, np.uint8)
    frames[::2, 9:] = 60
    unsatisfactory = [("coronary", _LITTLE), ("graft", ()), ("coronary", _UNCLEAR)] * (_COUNT // 6)
    told = [one for pair in zip([("coronary", _FILLING)] * (_COUNT // 2), unsatisfactory, strict=True) for one in pair]
    return Clips(
        frames=frames,
        labels=np.array([0.0, 1.0] * (_COUNT // 2), np.float32),
        patients=tuple(str(i) for i in range(_COUNT)),
        kinds=tuple(kind for kind, _ in told),
        windows=(0.8, 0.5) * (_COUNT // 2),
        visible=tuple(shares for _, shares in told),
        margin=1,
    )


class _Judge(nn.Module):
    """Unsatisfactory where the sampled frames are bright, and more so by `bias`, as where all that is held is taken for it."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        grey = values.mean(dim=(1, 3, 4))
        return 4.0 * grey.amin(dim=1, keepdim=True) + self.bias


def test_the_fullest_frame_of_one_that_will_do_and_the_emptiest_of_one_that_will_not(clips: Clips) -> None:
    assert held.telling(clips, 0) == 12
    assert held.telling(clips, 1) == 5
    assert held.telling(clips, 3) == 8  # a graft: any frame is as good
    assert held.telling(clips, 5) is None
    assert held.telling(replace(clips, windows=(math.nan,) * _COUNT), 0) is None


def test_both_ways_are_reported_at_the_threshold_of_the_run(
    recipe: Recipe, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.normalise", lambda grey, _: (grey[:, None].float() - 110.0) / 50.0)
    for bias, specificity in ((0.0, 1.0), (9.0, 0.0)):
        found = held.figures(recipe, _Judge(bias), clips, range(_COUNT), 0.5, seed=1, device=_CPU)
        assert set(found) == {held.STILL, held.MOVED}
        for one in found.values():
            assert (one["clips"], one["unsatisfactory"]) == (20, 8)
            assert (one["auc"], one["sensitivity"], one["specificity"]) == (1.0, 1.0, specificity)


def test_nothing_is_reported_where_nobody_says_what_is_seen_or_one_label_is_missing(recipe: Recipe, clips: Clips) -> None:
    other = replace(recipe, spec=replace(recipe.spec, step=4))
    assert held.figures(other, _Judge(), clips, range(_COUNT), 0.5, seed=1, device=_CPU) == {}
    assert held.figures(recipe, _Judge(), clips, range(0, _COUNT, 2), 0.5, seed=1, device=_CPU) == {}


class _Walker(nn.Module):
    """A logit by how far right the light of the first frame lies of that of the whole run: direction is all that counts."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        light = values[:, 0].clamp(min=0.0)
        places = (light * torch.arange(light.shape[-1])).sum(dim=(2, 3)) / light.sum(dim=(2, 3))
        return places[:, :1] - places.mean(dim=1, keepdim=True)


def test_a_network_that_goes_by_the_direction_is_told_from_one_that_does_not(
    recipe: Recipe, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.normalise", lambda grey, _: (grey[:, None].float() - 110.0) / 50.0)
    frames = clips.frames.copy()
    frames[:, :, 60:100, 60:100] += 60
    lit = replace(clips, frames=frames)
    for judge, least, most in ((_Walker(), 0.02, 5.0), (_Judge(), 0.0, 0.01)):
        found = held.by_direction(recipe, judge, lit, range(_COUNT), seed=1, device=_CPU)
        assert {name: one["pictures"] for name, one in found.items()} == {"satisfactory": 12, "unsatisfactory": 8}
        assert all(least <= one["deviation"] <= most for one in found.values()), found
    assert found["unsatisfactory"]["mean"] > found["satisfactory"]["mean"]
    assert held.by_direction(recipe, _Judge(), lit, range(0, _COUNT, 2), seed=1, device=_CPU) == {}


def test_the_report_tells_how_much_the_logit_hangs_on_the_direction() -> None:
    ways = {"satisfactory": {"pictures": 12, "mean": -1.1, "deviation": 0.5}}
    run = SimpleNamespace(model="X3D-S", sanity={"held": {}, "held_by_direction": ways})
    table = group_tables.held(cast("Result", run))
    assert "Of 12 satisfactory pictures, each moved in eight directions, the logit deviates by 0.50" in table.notes[-1]
    assert len(group_tables.held(cast("Result", SimpleNamespace(model="X3D-S", sanity=None))).notes) == 1
