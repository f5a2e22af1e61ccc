"""What metrics.json says of which cohort, without a network."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training import evaluate
from training.data.cines import Clips
from training.data.splits import Split

_SPLIT = Split(train=tuple(range(20)), validation=tuple(range(20, 40)), test=tuple(range(40, 60)))


def _clips(who: str) -> Clips:
    return Clips(
        frames=np.random.default_rng(len(who)).integers(0, 255, (60, 3, 4, 4), dtype=np.uint8),
        labels=np.array([0.0, 1.0] * 30, np.float32),
        patients=tuple(f"{who}{n // 2}" for n in range(60)),
        kinds=("coronary", "graft") * 30,
        pixels=tuple(f"{who}{n}" for n in range(60)),
        margin=0,
    )


@pytest.mark.parametrize("manifest", [None, Path("other.csv")])
def test_the_unseen_cohorts_figures_are_told_where_it_was_scored_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: Path | None
) -> None:
    own = _clips("own")
    run = SimpleNamespace(folder=tmp_path, recipe=None, seed=1, manifest=None, unseen_seed=77)
    run.clips, run.split, run.unseen = lambda *_: own, lambda _: _SPLIT, lambda *_: _clips("unseen")
    run.read = lambda *_: replace(_clips("other"), kinds=("coronary", "their own") * 30)
    monkeypatch.setattr(evaluate, "trained", lambda _: None)
    monkeypatch.setattr(evaluate, "taught", lambda *_: (_SPLIT.train, _SPLIT.validation))

    def score(_recipe: object, _model: object, clips: Clips, indices: Sequence[int], **_: object) -> object:
        return np.random.default_rng(3).normal(size=len(indices)) + 2.0 * clips.labels[list(indices)] - 1.0

    monkeypatch.setattr(evaluate.loop, "score", score)
    evaluate.evaluate(run, 1, lambda _: None, device=torch.device("cpu"), independent=manifest)
    found = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert found["unseen_seed"] == 77
    assert ("unseen" in found, "independent" in found) == (manifest is None, manifest is not None)
    assert ("unseen_auc_by_kind" in found) == (manifest is None)
