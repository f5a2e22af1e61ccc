"""A blend: halfway between what was fitted and what it began from, with batch norm statistics of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models import zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import X3D_S, FrameSpec
from tests.support.small_network import SmallNetwork
from training import loop, network
from training import run as runs
from training.augment import Strength
from training.data.cines import Clips
from training.recipe import Phase, Recipe, load

_SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml"


def test_weights_are_drawn_to_those_it_began_from_and_other_outputs_stay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    began = {key: torch.full_like(value, 2.0) for key, value in before.items() if value.is_floating_point()}
    began |= {"2.weight": torch.full((1, 4), 2.0), "2.bias": torch.full((1,), 2.0)}
    network.blend(model, began, 0.25)
    after = model.state_dict()
    assert torch.allclose(after["0.weight"], 0.75 * before["0.weight"] + 0.5)
    assert torch.allclose(after["2.weight"][:1], 0.75 * before["2.weight"][:1] + 0.5)
    assert torch.equal(after["2.weight"][1:], before["2.weight"][1:])


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    made = Architecture(title="small", spec=X3D_S, builder=SmallNetwork)
    monkeypatch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]
    return replace(
        load(_SHIPPED),
        model="small",
        spec=FrameSpec(kind="3d", step=8, size=32),
        phases=(Phase(frames=4, size=32, batch=8, steps=4),),
        ema=0.0,
        kind_loss=0.0,
        sight_loss=0.0,
        frame_loss=0.0,
        again_held=0.0,
        rate_steps=0,
        blank=0.0,
        replay=0.0,
        frozen=0,
        reestimate_clips=8,
        learning_rate=0.05,
        threads=1,
        augment=Strength(**dict.fromkeys(Strength.__slots__, 0.0)),
    )


def test_a_fit_ends_halfway_to_its_start(recipe: Recipe, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (16, 6, 32, 32), dtype=np.uint8)
    labels = (np.arange(16) % 2).astype(np.float32)
    clips = Clips(frames=frames, labels=labels, patients=tuple(map(str, range(16))), kinds=("k",) * 16, margin=1)
    torch.manual_seed(5)
    start = {key: value.clone() for key, value in network.build("small", 0.0).state_dict().items()}
    ends = []
    for share in (0.0, 0.5):
        folder = tmp_path / str(share)
        folder.mkdir()
        made = loop.fit(replace(recipe, blend=share), clips, range(16), folder, seed=1, start=start)
        ends.append(made.state_dict())
    names = [name for name, _ in network.build("small", 0.0).named_parameters()]
    moved = [name for name in names if not torch.equal(ends[0][name], start[name])]
    assert moved
    assert all(torch.allclose(ends[1][name], 0.5 * (ends[0][name] + start[name]), atol=1e-6) for name in names)


def test_a_blend_without_statistics_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"base: {_SHIPPED}\nblend: 0.5\nreestimate_clips: 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="blend: reestimate_clips is needed"):
        load(tmp_path / "recipe.yaml")


def test_a_blend_with_nothing_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"base: {_SHIPPED}\nblend: 0.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="blend: there is nothing to blend with"):
        runs.create(tmp_path / "run", tmp_path / "recipe.yaml", 1)
    assert not (tmp_path / "run").exists()


def test_frozen_blocks_without_a_start_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frozen: there is nothing to keep"):
        runs.create(tmp_path / "run", _SHIPPED, 1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["x3d_s", "resnet18_2d", "resnet18_3d"])
def test_scaled_logits_are_the_same_over_the_temperature(name: str) -> None:
    torch.manual_seed(3)
    model = network.build(name, 0.0).eval()
    batch = torch.randn(2, 3, 4, 64, 64)
    with torch.inference_mode():
        before = model(batch)
        network.scale_logits(model, 0.8)
        assert torch.allclose(model(batch), before / 0.8, rtol=1e-4, atol=1e-6)
