"""What every loop that learns must do: know 16 clips by heart. Shuffled labels are in test_weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from dicomqc.sample.spec import FrameSpec
from tests.support.clips import structured
from training import loop, metrics
from training.augment import Strength
from training.data.cines import Clips
from training.progress import LOG
from training.recipe import Phase, load

_SHIPPED = load(Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml")


@pytest.mark.parametrize(
    ("model", "kind", "rate"), [("x3d_s", "3d", 0.003), ("resnet18_3d", "3d", 0.001), ("resnet18_2d", "2d", 0.001)]
)
def test_a_network_learns_sixteen_clips_by_heart_whatever_their_labels(
    model: str, kind: Literal["2d", "3d"], rate: float, tmp_path: Path
) -> None:
    # The demonstration weights' recipe without anything that hinders learning by heart.
    recipe = replace(
        _SHIPPED,
        model=model,
        spec=FrameSpec(kind=kind, step=8, size=48),
        phases=(Phase(frames=4, size=48, batch=16, steps=18),),
        learning_rate=rate,
        weight_decay=0.0,
        ema=0.0,
        dropout=0.0,
        kind_loss=0.0,
        sight_loss=0.0,
        reestimate_clips=16,
        frozen=0,
        sway=0.0,
        again=0.0,
        again_loss=0.0,
        again_held=0.0,
        frame_loss=0.0,
        rate_steps=0,
        checkpoint_steps=1000,
        threads=1,
        augment=Strength(**dict.fromkeys(Strength.__slots__, 0.0)),
    )
    # The labels say nothing of what is drawn, so that there is nothing but the clips themselves to learn.
    labels = (np.arange(16) % 2).astype(np.float32)
    frames = structured(recipe.spec, 16, seed=1)
    clips = Clips(frames=frames, labels=labels, patients=tuple(map(str, range(16))), kinds=("k",) * 16, margin=0)
    logits = loop.score(recipe, loop.fit(recipe, clips, range(16), tmp_path, seed=1), clips, range(16))
    loss = np.logaddexp(0.0, np.where(labels > 0, -logits, logits)).mean()
    assert loss < 0.05
    assert metrics.auc(labels.astype(np.float64), logits) == 1.0
    assert json.loads((tmp_path / LOG).read_text(encoding="utf-8").splitlines()[-1])["step"] == 18
