"""Where the network looks, by made-up clips and networks; and the whole way on a small simulated run without one vendor."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from dicomqc.models import zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import X3D_S
from tests.support.small_network import SmallNetwork
from training import __main__ as program
from training import fitting, gaze
from training import run as runs
from training.data.cines import Clips
from training.data.masks import Masks
from training.recipe import load

_FOLDER = Path(__file__).resolve().parents[2] / "config" / "training"
_RECIPE = load(_FOLDER / "x3d_s_demo.yaml")
_CPU = torch.device("cpu")
_SIZE, _COUNT = 32, 24


class _Extreme(nn.Module):
    """Satisfactory is what has something very dark (`sign` −1), or very bright (1)."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(3, 1, 1, bias=False)
        nn.init.constant_(self.convolution.weight, sign / 3.0)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return 1.0 - self.convolution(values).amax(dim=(2, 3, 4))


def _vessels() -> tuple[Clips, list[Masks]]:
    """Satisfactory clips have a dark vessel at the upper left."""
    rng = np.random.default_rng(1)
    frames = rng.integers(140, 160, (_COUNT, 4, _SIZE, _SIZE), dtype=np.uint8)
    labels = (np.arange(_COUNT) % 2).astype(np.float32)
    drawn = []
    for index, label in enumerate(labels):
        mask = np.zeros((4, _SIZE, _SIZE), bool)
        if not label:
            mask[:, 4:8, 2:14] = True
            frames[index][mask] = 30
        drawn.append(Masks(tree=mask, vessels=mask))
    kinds = tuple("no_contrast" if label else "coronary" for label in labels)
    patients = tuple(f"p{n // 2}" for n in range(_COUNT))
    return Clips(frames=frames, labels=labels, patients=patients, kinds=kinds, margin=0), drawn


def test_a_network_of_vessels_is_lost_without_them_and_not_without_as_much_elsewhere() -> None:
    clips, drawn = _vessels()
    found = gaze.aucs(_RECIPE, _Extreme(-1.0), clips, range(_COUNT), drawn, seed=0, device=_CPU)
    assert found["as sampled"]["auc"] == found["vessels alone"]["auc"] == found["as much removed elsewhere"]["auc"] == 1.0
    assert found["vessels removed"]["auc"] < 0.8
    assert found["vessels removed"]["low"] < found["vessels removed"]["auc"] < found["vessels removed"]["high"]


def test_heat_lies_on_the_tree_of_a_network_that_looks_there_and_not_of_one_that_looks_away() -> None:
    clips, drawn = _vessels()
    models = {"trained": _Extreme(-1.0), "random": _Extreme(1.0)}
    found = gaze.on_tree(_RECIPE, models, clips, range(_COUNT), drawn, seed=0, device=_CPU)
    # Only the kind whose tree is to be seen.
    assert list(found) == ["coronary", gaze.EVERY]
    row = found["coronary"]
    assert row["clips"] == _COUNT // 2
    assert row["area"] == pytest.approx(48 / _SIZE**2)
    assert row["trained"] > 0.8
    assert row["trained_above_area"][0] > 0.7
    assert row["random"] < 0.01
    assert row["random_above_area"][1] < 0.0
    alone = gaze.on_tree(_RECIPE, models, clips, range(2), drawn[:2], seed=0, device=_CPU)
    assert np.isnan(alone["coronary"]["trained_above_area"]).all(), "one patient has no interval"
    empty = [Masks(tree=np.zeros_like(m.tree), vessels=m.vessels) for m in drawn]
    assert gaze.on_tree(_RECIPE, models, clips, range(_COUNT), empty, seed=0, device=_CPU) == {}


def test_clips_without_any_heat_are_no_zero() -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv3d(3, 1, 1)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.convolution(values).mean(dim=(2, 3, 4)) * 0.0

    clips, drawn = _vessels()
    found = gaze.on_tree(_RECIPE, {"trained": Blind()}, clips, range(_COUNT), drawn, seed=0, device=_CPU)
    assert np.isnan(found["coronary"]["trained"])
    assert np.isnan(found["coronary"]["trained_above_area"]).all()


def test_the_same_clips_are_chosen_by_the_same_seed_and_never_too_many() -> None:
    some = gaze.chosen(range(500), 1)
    assert len(some) == gaze.CLIPS == len(set(some))
    assert some == gaze.chosen(range(500), 1) == tuple(sorted(some))
    assert some != gaze.chosen(range(500), 2)
    assert gaze.chosen((7, 3), 1) == (3, 7)


def test_what_is_removed_elsewhere_spares_the_vessels() -> None:
    mask = np.zeros((2, 8, 8), bool)
    mask[:, 0, :] = True
    other = gaze.elsewhere(mask)
    assert other.sum() == mask.sum()
    assert not (other & mask).any()


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = Architecture(title="small", spec=X3D_S, builder=SmallNetwork)
    monkeypatch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]
    raw = yaml.safe_load((_FOLDER / "x3d_s_demo.yaml").read_text(encoding="utf-8"))
    raw |= {
        "model": "small",
        "name": "tiny",
        "patients": 14,
        "shares": [0.7, 0.15, 0.15],
        "unseen_patients": 3,
        "margin": 0,
        "threads": 1,
    }
    raw |= {
        "spec": {"kind": "3d", "step": 16, "size": 32},
        "reestimate_clips": 8,
        "kind_loss": 0.0,
        "replay": 0.0,
        "sway": 0.0,
        "again": 0.0,
        "again_loss": 0.0,
        "again_held": 0.0,
        "frame_loss": 0.0,
        "rate_steps": 0,
        "frozen": 0,
        "blend": 0.0,
    }
    raw |= {"phases": [{"frames": 2, "size": 32, "steps": 4, "batch": 8}]}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return tmp_path / "tiny.yaml"


def _stripped(run: Path) -> None:
    """What an evaluated run folder held before clips were graded, vendors named and vessels masked."""
    found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    for part in ("validation", "test", "unseen"):
        del found[part]["bands"], found[part]["auc_by_vendor"]
    (run / "metrics.json").write_text(json.dumps(found), encoding="utf-8")
    checks = json.loads((run / "sanity.json").read_text(encoding="utf-8"))
    flat = {name: value for name, value in checks.items() if not isinstance(value, dict)}
    (run / "sanity.json").write_text(json.dumps(flat), encoding="utf-8")
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row[:-1] for row in csv.reader(handle)]
    with (run / "predictions.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del facts["without_vendor"]
    (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def test_a_simulated_run_without_a_vendor_says_so_and_what_it_does_without_vessels(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    fit = ["fit", "--recipe", str(recipe), "--run", str(folder), "--workers", "1", "--without-vendor"]
    assert program.main([*fit, "0"]) == 0
    assert program.main([*fit, "2"]) == 2
    assert "another recipe, manifest, start or seed" in caplog.text
    assert program.main(["evaluate", "--run", str(folder), "--sanity", "--workers", "1"]) == 0
    run = runs.reopen(folder)
    assert run.without_vendor == "0"
    clips = run.clips(1, lambda _: None)
    split = run.split(clips)
    train, validation = fitting.taught(run, clips, split)
    assert {clips.vendors[i] for i in (*train, *validation)} == {"1", "2"}
    assert json.loads((folder / "fit.json").read_text(encoding="utf-8"))["train_clips"] == len(train) < len(split.train)
    assert set(run.plans(1, lambda _: None)) == set(clips.ids)
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    unseen = found["unseen"]
    assert sum(one["clips"] for one in unseen["auc_by_vendor"].values()) == unseen["clips"]
    assert sum(one["clips"] for one in unseen["bands"].values()) in (0, unseen["clips"])
    checks = json.loads((folder / "sanity.json").read_text(encoding="utf-8"))
    assert checks["vessels"]["clips"] == len(split.test)
    assert checks["by_heart"]["clips"] == sum(min(8, n) for n in np.bincount(clips.labels[list(train)].astype(int)).tolist())
    assert set(checks["vessels"]["auc"]) >= {"as sampled", "vessels removed", "vessels alone"}
    assert 0 < checks["grad_cam"][gaze.EVERY]["area"] < 0.3
    # The report is drawn from the folder alone.
    shutil.rmtree(folder.parent / "cache")
    (folder / "weights.safetensors").unlink()
    assert program.main(["compare", str(folder), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "trained without vendor 0" in text.splitlines()[0]
    for title in (
        "By vendor",
        "Without the vessels: small, AUC on",
        "Grad-CAM on the native tree: small",
        "Sanity checks",
        "A few clips by heart",
    ):
        assert f"## {title}" in text
    assert "vendor 0 |" in text
    assert "not trained on |" in text
    _stripped(folder)
    assert program.main(["compare", str(folder), "--out", str(tmp_path / "old")]) == 0
    old = (tmp_path / "old" / "report.md").read_text(encoding="utf-8")
    assert "## Sanity checks" in old
    assert "## By vendor" not in old
