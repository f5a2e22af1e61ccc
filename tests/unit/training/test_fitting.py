from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from dicomqc.core.errors import ConfigError
from training import __main__ as program
from training import distributed, files, fitting, judges, publish
from training import run as runs
from training.data.cines import Clips
from training.data.splits import Split
from training.distributed import World
from training.fitting import taught
from training.recipe import load
from training.run import Run

_PAPER = Path(__file__).resolve().parents[3] / "config" / "training" / "x3d_s.yaml"
_RECIPE = load(Path(__file__).resolve().parents[3] / "config" / "training" / "cpu" / "x3d_s.yaml")
_SPLIT = Split(train=tuple(range(40)), validation=tuple(range(40, 50)), test=tuple(range(50, 60)))


def _clips() -> Clips:
    """Sixty clips of twenty patients; every third is unsatisfactory, and of a kind of its own."""
    labels = (np.arange(60) % 3 == 0).astype(np.float32)
    kinds = tuple("aorta" if label else "coronary" for label in labels)
    patients = tuple(f"p{n // 3}" for n in range(60))
    return Clips(frames=np.zeros((60, 1, 1, 1), np.uint8), labels=labels, patients=patients, kinds=kinds, margin=0)


def test_seeds_of_earlier_runs_are_known_where_they_were_simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    earlier = [
        {"seed": 1, "simulated": False},
        {"seed": 2, "simulated": True, "unseen_seed": 500_000_005},
        {"seed": 3},  # as the first cards told it
    ]
    card = SimpleNamespace(training={"seed": 9, "earlier": earlier}, metrics={})
    monkeypatch.setattr(runs.published, "resolve", lambda *_: SimpleNamespace(card=card))
    assert runs.known_seeds("a@1", tmp_path) == {2, 500_000_005, 3}
    assert [seed for seed, _ in runs.fitted("a@1", tmp_path)] == [2, 3]


def _run(count: int, *, fit_seed: int = 1, seed: int = 5) -> Run:
    return Run(folder=Path(), recipe=replace(_RECIPE, train_clips=count), seed=seed, fit_seed=fit_seed)


def _created(folder: Path, init: str = "") -> Run:
    return runs.create(folder, _PAPER.parent / "cpu" / "x3d_s.yaml", 5, init=init)


def test_a_split_from_before_it_was_told_what_its_digests_are_of_is_still_the_same_split(tmp_path: Path) -> None:
    first = _created(tmp_path / "first")
    later = _created(tmp_path / "later", init=str(first.folder))
    for run in (first, later):
        runs.record_split(run, _clips(), _SPLIT)
    bare = files.read_json(first.folder / runs.SPLITS)
    for part in bare.values():
        assert part.pop("sha256_of") == "clips, patients, labels, pixels"
    files.write_json(first.folder / runs.SPLITS, bare)
    assert fitting._split_otherwise(later) == fitting._fitted_otherwise(later, tmp_path) == set()
    bare["test"]["sha256"] = "another"
    files.write_json(first.folder / runs.SPLITS, bare)
    assert fitting._split_otherwise(later) == {5, first.unseen_seed}
    assert fitting._fitted_otherwise(later, tmp_path) == {5}


def test_a_start_that_is_not_there_is_told_by_run_and_path_wherever_ancestors_are_asked_for(tmp_path: Path) -> None:
    first = _created(tmp_path / "first", init=str(tmp_path / "gone"))
    later = _created(tmp_path / "later", init=str(first.folder))
    asked = (
        lambda: judges._known_seeds(later, tmp_path),
        lambda: fitting._known_whatever_the_split(later, tmp_path),
        lambda: publish._training(later),
    )
    for ask in asked:
        with pytest.raises(ConfigError, match=f"^{first.folder}: began at {tmp_path / 'gone'}, and no run is there"):
            ask()


@pytest.mark.parametrize("start", ["", "x3d-s-demo@1.0.0", "elsewhere/X3D_S.pyth"])
def test_a_start_that_is_no_run_is_the_root(tmp_path: Path, start: str) -> None:
    first = _created(tmp_path / "first", init=start)
    later = _created(tmp_path / "later", init=str(first.folder))
    assert runs.ancestry(later) == (start, [first])


def test_the_chain_of_candidates_in_docs_leads_from_the_root_of_the_repository_to_a_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = _PAPER.parents[2]
    last = runs.reopen(root / "docs" / "results" / "candidate-6")
    monkeypatch.chdir(root)
    start, since = runs.ancestry(last)
    assert (start, [one.folder.name for one in since]) == (
        "x3d-s-demo@2.0.0",
        ["candidate-5", "candidate-4", "candidate-3", "candidate-2", "candidate"],
    )
    # Their weights are not kept, and a fit that goes on from here can be published all the same.
    told = publish._training(last)
    assert [(one["seed"], one["weights_sha256"]) for one in told["earlier"]] == [
        (seed, None) for seed in (20371, 20361, 20351, 20341, 20331)
    ]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="candidate-6: began at docs/results/candidate-5, and no run is there"):
        runs.ancestry(last)


def test_fewer_clips_are_trained_on_the_same_ones_for_every_model_and_fit_seed_and_validation_stays_whole() -> None:
    train, validation = taught(_run(12), _clips(), _SPLIT)
    assert len(train) == 12
    assert set(train) < set(_SPLIT.train)
    assert validation == _SPLIT.validation
    other = replace(_run(12, fit_seed=2), recipe=replace(_RECIPE, train_clips=12, model="resnet18_2d", learning_rate=1.0))
    assert taught(other, _clips(), _SPLIT) == (train, validation)
    assert taught(_run(12, seed=6), _clips(), _SPLIT)[0] != train
    assert taught(_run(0), _clips(), _SPLIT)[0] == taught(_run(99), _clips(), _SPLIT)[0] == _SPLIT.train


def test_too_few_clips_to_have_both_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match="train_clips: a training part of 1 clips has no clip of one label"):
        taught(_run(1), _clips(), _SPLIT)


@pytest.mark.parametrize(
    ("processes", "batch", "more", "fewest"),
    [
        (4, 16, {}, 4),
        (2, 16, {}, 0),
        (4, 16, {"reestimate_clips": 16}, 0),
        (3, 32, {"micro_batch": 8}, 2),  # 11, 11 and 10 clips, of which 8 are taken first
        (3, 64, {}, 0),
        (2, 32, {"micro_batch": 8}, 0),
        (3, 22, {}, 7),
        (1, 4, {}, 4),
        (1, 9, {"micro_batch": 8}, 1),
        (1, 9, {"micro_batch": 8, "reestimate_clips": 16}, 0),
        (1, 8, {}, 0),
    ],
)
def test_batches_of_which_a_part_has_too_few_clips_are_refused_before_a_folder_is_made(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    processes: int,
    batch: int,
    more: dict[str, int],
    fewest: int,
) -> None:
    monkeypatch.setattr(distributed, "world", lambda: World(size=processes))
    monkeypatch.setattr(Run, "clips", Mock(side_effect=ConfigError("reading of clips begins")))
    phases = [{"frames": 16, "size": 160, "steps": 1, "batch": batch}]
    facts = {"base": str(_PAPER), "name": "few", "phases": phases, **{"reestimate_clips": 0, "micro_batch": 0} | more}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(facts), encoding="utf-8")
    assert program.main(["fit", "--recipe", str(tmp_path / "few.yaml"), "--run", str(tmp_path / "run")]) == 2
    shared = f", shared out to {processes} processes," if processes > 1 else ""
    parts = f"phases: some of a batch's parts{shared} have {fewest} clips"
    assert caplog.messages[-1].startswith(parts if fewest else "reading of clips begins")
    assert (tmp_path / "run").exists() == (not fewest)


@pytest.mark.parametrize(
    ("asked", "left"),
    [("graft", {"coronary", "late, faint"}), ("graft, coronary", {"late, faint"}), ("late, faint", {"coronary", "graft"})],
)
def test_one_kind_or_several_are_left_out_and_a_kind_may_have_a_comma_in_its_name(asked: str, left: set[str]) -> None:
    clips = replace(
        _clips(), kinds=("coronary", "graft", "late, faint") * 20, labels=(np.arange(60) // 3 % 2).astype(np.float32)
    )
    run = cast("Run", SimpleNamespace(recipe=replace(_RECIPE, train_clips=0), seed=1, without_kind=asked, without_vendor=""))
    assert {clips.kinds[i] for part in taught(run, clips, _SPLIT) for i in part} == left


def test_a_shuffled_recipe_is_fitted_on_the_clips_with_their_labels_in_another_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clips, given = _clips(), []
    run = SimpleNamespace(
        folder=tmp_path,
        recipe=replace(_RECIPE, shuffled=True, train_clips=0, calibrate=False),
        init="",
        seed=1,
        fit_seed=1,
        unseen_seed=2,
        without_kind="",
        without_vendor="",
        manifest=None,
        clips=lambda *_: clips,
        split=lambda _: _SPLIT,
    )
    for name, answer in (("_checked_start", None), ("_recorded", None), ("_fitted_otherwise", set())):
        monkeypatch.setattr(fitting, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(fitting.loop, "fit", lambda _, taken, *__, **___: given.append(taken) or nn.Linear(1, 1))
    fitting.fit(cast("Run", run), 1, lambda _: None, device=torch.device("cpu"), registry=tmp_path)
    assert sorted(given[0].labels) == sorted(clips.labels)
    assert (given[0].labels != clips.labels).any()
    assert given[0].frames is clips.frames


def test_shuffled_labels_are_learned_from_fresh_weights_or_not_at_all(tmp_path: Path) -> None:
    recipe = _PAPER.with_name("shuffled.yaml")
    assert runs.create(tmp_path / "fresh", recipe, 1).recipe.shuffled
    with pytest.raises(ConfigError, match="shuffled: --init would bring weights that know the labels"):
        runs.create(tmp_path / "other", recipe, 1, init="x3d-s-demo@8.0.0")


def test_the_order_of_clips_has_a_seed_of_its_own_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(program, "fit", Mock())
    folder = tmp_path / "run"
    asked = ["fit", "--recipe", str(_PAPER), "--seed", "5", "--run", str(folder)]
    assert program.main([*asked, "--fit-seed", "7"]) == 0
    opened = runs.reopen(folder)
    assert (opened.seed, opened.fit_seed) == (5, 7)
    assert program.main(asked) == 2
    assert "holds a run of another recipe, manifest, start or seed" in caplog.text
