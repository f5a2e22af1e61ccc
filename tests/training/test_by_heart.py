"""The check that a loop learns: fresh weights know a few clips by heart, and one that cannot is told from one that can."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.models import zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import FrameSpec
from tests.support.clips import structured
from training import by_heart, group_tables
from training.data.cines import Clips
from training.recipe import Recipe, load

_RECIPES = Path(__file__).resolve().parents[2] / "config" / "training"
_SPEC = FrameSpec(kind="3d", step=8, size=24)
_CPU = torch.device("cpu")


class Wide(nn.Module):
    """A layer on all pixels, which learns anything by heart; `bound` lets nothing through."""

    def __init__(self, bound: float, num_classes: int = 1) -> None:
        super().__init__()
        self.bound = bound
        self.norm = nn.BatchNorm3d(3)
        self.last = nn.Linear(3 * 4 * 24 * 24, num_classes)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.norm(clips).flatten(1))
        return logits.clamp(-self.bound, self.bound)


@pytest.fixture
def clips() -> Clips:
    """Thirty clips whose labels say nothing of what is drawn; no two of a patient."""
    labels = (np.arange(30) % 3 == 0).astype(np.float32)
    names = tuple(map(str, range(30)))
    return Clips(frames=structured(_SPEC, 30, seed=2), labels=labels, patients=names, kinds=("k",) * 30, margin=0)


def _recipe(monkeypatch: pytest.MonkeyPatch, bound: float) -> Recipe:
    made = Architecture(title="wide", spec=_SPEC, builder=lambda **more: Wide(bound, **more))
    monkeypatch.setitem(zoo.ARCHITECTURES, "wide", made)
    return replace(load(_RECIPES / "resnet18_3d.yaml"), model="wide", spec=_SPEC, threads=1)


def test_a_loop_that_learns_knows_its_clips(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_heart.figures(_recipe(monkeypatch, 99.0), clips, range(2, 30), seed=1, device=_CPU)
    assert (found["clips"], found["auc"], found["accuracy"]) == (16, 1.0, 1.0)
    assert found["loss"] < 0.2


def test_a_loop_that_cannot_is_told(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_heart.figures(_recipe(monkeypatch, 0.0), clips, range(30), seed=1, device=_CPU, steps=2)
    assert (found["auc"], found["accuracy"]) == (0.5, 0.5)
    assert found["loss"] == pytest.approx(np.log(2.0))


def test_as_many_of_each_label_are_taken_as_there_are_and_none_from_beyond_the_training_part(clips: Clips) -> None:
    places = by_heart.chosen(clips, range(12, 30), 1)
    assert [int(clips.labels[i]) for i in places] == [0] * 8 + [1] * 6
    assert set(places) <= set(range(12, 30))
    assert places != by_heart.chosen(clips, range(12, 30), 2)


@pytest.mark.parametrize("name", ["x3d_s", "x3d_s_demo", "resnet18_2d", "resnet152_3d", "shuffled"])
def test_nothing_hinders_and_all_frames_are_seen(name: str) -> None:
    made = by_heart.recipe_of(load(_RECIPES / f"{name}.yaml"))
    (phase,) = made.phases
    assert (phase.frames, phase.size) == (len(made.spec.frame_numbers()), made.spec.size)
    hinder = (
        *("weight_decay", "ema", "dropout", "kind_loss", "sight_loss", "frame_loss", "blank", "replay", "sway", "again"),
        *("again_loss", "again_relative", "again_held", "blend", "train_clips", "rate_steps", "validate_epochs"),
        *("frozen", "margin"),
    )
    assert not [name for name in hinder if getattr(made, name)]
    assert not [one.name for one in fields(made.augment) if getattr(made.augment, one.name)]
    assert (made.shuffled, made.calibrate) == (False, False)


def test_the_report_shows_it() -> None:
    known = {"clips": 16, "steps": 40, "loss": 0.0123, "auc": 1.0, "accuracy": 1.0}
    for checks, rows in (({"by_heart": known}, [["16", "40", "0.012", "1.000", "1.000"]]), ({}, []), (None, [])):
        assert group_tables.by_heart(SimpleNamespace(model="X3D-S", sanity=checks)).rows == rows  # type: ignore[arg-type]
