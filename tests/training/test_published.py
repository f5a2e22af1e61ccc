"""Weights that are judged as they are: nothing is trained, nothing is changed, and no patient that they know is a test."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from dicomqc.models import registry, zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import X3D_S
from dicomqc.settings import Settings
from tests.support.small_network import SmallNetwork
from training import __main__ as program
from training import allocator, results
from training.recipe import load
from training.run import reopen

_FOLDER = Path(__file__).resolve().parents[2] / "config" / "training"
_TAUGHT = 3


class _Wide(SmallNetwork):
    """Another network."""

    def __init__(self, *, num_classes: int = 1) -> None:
        super().__init__(num_classes=num_classes)
        self.head = nn.Linear(8, num_classes)


@pytest.fixture(scope="module", autouse=True)
def small() -> object:
    made = Architecture(title="small", spec=X3D_S, builder=SmallNetwork)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]
        yield


def _recipe(folder: Path, name: str, **more: object) -> Path:
    recipe = yaml.safe_load((_FOLDER / "refresh.yaml").read_text(encoding="utf-8"))
    recipe |= {"model": "small", "spec": {"kind": "3d", "step": 8, "size": 32}, "threads": 1, "reestimate_clips": 8}
    recipe |= {"twins": 0.5, "patients": 6, "unseen_patients": 2, "shares": [0.5, 0.25, 0.25], "name": name, **more}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder / f"{name}.yaml"


def _fit(recipe: Path, run: Path, *more: str, seed: int) -> int:
    where = ["--recipe", str(recipe), "--run", str(run), "--seed", str(seed), "--workers", "1", "--device", "cpu"]
    return program.main(["fit", *where, "--registry", str(recipe.parent / "models"), *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the seed _TAUGHT, published as own@0.1.0, and two recipes without phases."""
    made = tmp_path_factory.mktemp("published")
    phases = [{"frames": 4, "size": 32, "steps": 4, "batch": 4}]
    assert _fit(_recipe(made, "taught", phases=phases), made / "runs" / "taught", seed=_TAUGHT) == 0
    assert program.main(["evaluate", "--run", str(made / "runs" / "taught"), "--workers", "1"]) == 0
    publish = ["publish", "--run", str(made / "runs" / "taught"), "--registry", str(made / "models")]
    assert program.main([*publish, "--name", "own@0.1.0"]) == 0
    _recipe(made, "as-it-is", phases=[])
    _recipe(made, "larger", phases=[], patients=7)
    return made


def test_published_weights_stay_bit_for_bit_and_stand_beside_trained_ones(folder: Path, tmp_path: Path) -> None:
    same = folder / "runs" / "same"
    assert _fit(folder / "as-it-is.yaml", same, "--init", "own@0.1.0", seed=8) == 0
    kept, taken = (load_file(folder / "runs" / run / "weights.safetensors") for run in ("taught", "same"))
    assert kept.keys() == taken.keys()
    assert all(kept[key].equal(taken[key]) for key in kept)
    fit = json.loads((same / "fit.json").read_text(encoding="utf-8"))
    assert (fit["steps"], fit["epochs"], fit["train_clips"]) == (0, 0, 0)
    beside = folder / "runs" / "beside"
    assert _fit(folder / "taught.yaml", beside, "--init", "own@0.1.0", seed=8) == 0
    for run in (same, beside):
        assert program.main(["evaluate", "--run", str(run), "--workers", "1"]) == 0
    assert program.main(["compare", str(same), str(beside), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    first, title = text.splitlines()[0], "small (own@0.1.0 as published)"
    assert f"{title}, not trained here: weights of own@0.1.0." in first
    assert f"| small − {title} |" in text
    assert f"| {title}, seed 8 | – | – | – | – | not trained here |" in text


def test_a_runs_weights_may_be_judged_on_the_cohort_and_split_that_they_were_trained_with(folder: Path) -> None:
    again = folder / "runs" / "again"
    assert _fit(folder / "as-it-is.yaml", again, "--init", str(folder / "runs" / "taught"), seed=_TAUGHT) == 0
    assert program.main(["evaluate", "--run", str(again), "--workers", "1"]) == 0
    assert results.read(again).model == "small (taught as it was)"
    assert (again / "predictions.csv").read_bytes() == (folder / "runs" / "taught" / "predictions.csv").read_bytes()


def test_patients_that_the_weights_know_are_no_test_of_them(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for recipe, init in (("as-it-is", "own@0.1.0"), ("larger", str(folder / "runs" / "taught"))):
        caplog.clear()
        assert _fit(folder / f"{recipe}.yaml", folder / "runs" / f"known-{recipe}", "--init", init, seed=_TAUGHT) == 2
        assert f"was fitted or evaluated on the cohort of seed {_TAUGHT}; take another --seed and another --run" in caplog.text
        assert "nothing is trained" not in caplog.text
        assert not (folder / "runs" / f"known-{recipe}" / "weights.safetensors").exists()


def test_a_fit_keeps_freed_memory_as_suits_its_device(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(allocator, "keep_freed", asked.append)
    assert _fit(folder / "taught.yaml", tmp_path / "own", "--init", "own@0.1.0", seed=_TAUGHT) == 0
    assert asked == [torch.device("cpu")]


def test_fine_tuning_on_a_known_cohort_keeps_its_split(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name, init in (("own", "own@0.1.0"), ("taught", str(folder / "runs" / "taught"))):
        assert _fit(folder / "taught.yaml", folder / "runs" / f"on-{name}", "--init", init, seed=_TAUGHT) == 0
        phases = [{"frames": 4, "size": 32, "steps": 4, "batch": 4}]
        _recipe(folder, "otherwise", phases=phases, shares=[0.3, 0.35, 0.35])
        caplog.clear()
        assert _fit(folder / "otherwise.yaml", folder / "runs" / f"otherwise-{name}", "--init", init, seed=_TAUGHT) == 2
        assert f"was fitted or evaluated on the cohort of seed {_TAUGHT}" in caplog.text
        assert not (folder / "runs" / f"otherwise-{name}" / "weights.safetensors").exists()


def test_what_is_wrong_whatever_the_cohort_is_said_before_it_is_rendered(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Architecture(title="wide", spec=X3D_S, builder=_Wide)
    monkeypatch.setitem(zoo.ARCHITECTURES, "wide", wide)  # type: ignore[arg-type]
    _recipe(folder, "wide", phases=[], model="wide")
    caplog.set_level("INFO")
    unseen = reopen(folder / "runs" / "taught").unseen_seed
    taught = str(folder / "runs" / "taught")
    for name, recipe, init, seed, says in (
        ("wide", "wide", "own@0.1.0", 9, "init: these weights belong to another network than the recipe's"),
        ("unseen", "as-it-is", taught, unseen, f"was fitted or evaluated on the cohort of seed {unseen}"),
        ("absent", "as-it-is", "runs/nothing", 9, "init: runs/nothing is neither a run with weights nor NAME@VERSION"),
    ):
        caplog.clear()
        assert _fit(folder / f"{recipe}.yaml", folder / "runs" / name, "--init", init, seed=seed) == 2
        assert [record.message for record in caplog.records if says in record.message]
        assert len(caplog.records) == 1, "nothing is rendered, and nothing else is said"
        assert not (folder / "runs" / name / "splits.json").exists()
    assert not (folder / "runs" / "wide").exists(), "a corrected --init may take the name"
    assert not (folder / "runs" / "absent").exists()


def test_versions_that_are_known_are_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = ("--init", "x3d-s-demo@9.9.9", "--registry", str(registry.shipped()))
    assert _fit(folder / "as-it-is.yaml", folder / "runs" / "unknown", *more, seed=9) == 2
    assert caplog.messages[-1].startswith("init: there is no x3d-s-demo@9.9.9; known: ")
    assert caplog.messages[-1].count(Settings().score.model) == 1


def test_nothing_to_train_and_nothing_to_take_is_refused_before_a_folder_is_made(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert _fit(folder / "as-it-is.yaml", folder / "runs" / "none", seed=1) == 2
    assert "phases: nothing would be trained" in caplog.text
    assert not (folder / "runs" / "none").exists()


def test_the_recipe_of_published_weights_sees_the_clips_that_the_models_of_the_comparison_see() -> None:
    published, trained = load(_FOLDER / "published.yaml"), load(_FOLDER / "cpu" / "x3d_s.yaml")
    assert published.phases == ()
    for name in ("model", "spec", "cohort", "shares", "unseen_patients", "unsatisfactory", "twins", "margin"):
        assert getattr(published, name) == getattr(trained, name), name
