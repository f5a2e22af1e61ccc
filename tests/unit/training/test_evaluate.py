"""What metrics.json says of which cohort, without a network."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError
from training import evaluate, predictions
from training.data import splits
from training.data.cines import Clips
from training.data.headers import hashed
from training.data.splits import Split
from training.predictions import Predictions

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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run on simulated clips whose network's logits are the label and noise."""
    own = _clips("own")
    run = SimpleNamespace(folder=tmp_path, recipe=None, seed=1, manifest=None, unseen_seed=77)
    run.clips, run.split, run.unseen = lambda *_: own, lambda _: _SPLIT, lambda *_: _clips("unseen")
    run.read = lambda *_: replace(_clips("other"), kinds=("coronary", "their own") * 30)
    monkeypatch.setattr(evaluate, "trained", lambda _: None)
    monkeypatch.setattr(evaluate, "taught", lambda *_: (_SPLIT.train, _SPLIT.validation))

    def score(_recipe: object, _model: object, clips: Clips, indices: Sequence[int], **_: object) -> object:
        return np.random.default_rng(3).normal(size=len(indices)) + 2.0 * clips.labels[list(indices)] - 1.0

    monkeypatch.setattr(evaluate.loop, "score", score)
    return run


def _evaluate(run: SimpleNamespace, independent: Path | None = None) -> None:
    evaluate.evaluate(run, 1, lambda _: None, device=torch.device("cpu"), independent=independent)


@pytest.mark.parametrize("manifest", [None, Path("other.csv")])
def test_the_unseen_cohorts_figures_are_told_where_it_was_scored_alone(
    tmp_path: Path, run: SimpleNamespace, manifest: Path | None
) -> None:
    _evaluate(run, manifest)
    found = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert found["unseen_seed"] == 77
    assert ("unseen" in found, "independent" in found) == (manifest is None, manifest is not None)
    assert ("unseen_auc_by_kind" in found) == (manifest is None)
    assert found.get("unseen_sha256", "") == ("" if manifest else splits.digest(_clips("unseen"), range(60)))


@pytest.mark.parametrize("manifest", [None, Path("own.csv")])
def test_a_patient_of_the_runs_own_is_found_in_an_independent_manifest_which_names_hashes(manifest: Path | None) -> None:
    own, run = _clips("own"), SimpleNamespace(manifest=manifest)
    # Those of a manifest are hashes on both sides.
    known = own.patients[0] if manifest else hashed(own.patients[0])
    others = _clips("other")
    evaluate._apart(run, own, others)
    with pytest.raises(ConfigError, match="independent: 1 patients are in the run's own cohort too"):
        evaluate._apart(run, own, replace(others, patients=(known, *others.patients[1:])))


def test_an_evaluation_that_is_killed_leaves_none_and_no_torn_file(
    tmp_path: Path, run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _evaluate(run)
    before = (tmp_path / "examples.npz").read_bytes()
    assert len(np.load(tmp_path / "examples.npz")["cells"]) > 1

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        _evaluate(run)
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.csv", "examples.npz"}
    assert (tmp_path / "examples.npz").read_bytes() == before


def test_predictions_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    whole = Predictions.of(_clips("own"), range(4), np.arange(4.0))
    predictions.write(path, {"test": whole})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="shorter"):
        predictions.write(path, {"validation": whole, "test": replace(whole, scores=whole.scores[:2])})
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before
