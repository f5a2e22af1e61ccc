"""Frozen first blocks keep their weights and statistics, whatever the others learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import FrameSpec
from training import loop, network
from training.clock import Clock, Paused
from training.data.cines import Clips
from training.recipe import Phase, Recipe, load, write

_FROZEN = 2


def _recipe(frozen: int = _FROZEN) -> Recipe:
    return Recipe(
        name="frozen",
        version="1.0.0",
        model="x3d_s",
        spec=FrameSpec(kind="3d", step=8, size=64),
        phases=(Phase(frames=4, size=64, steps=2, batch=2),),
        learning_rate=0.01,
        weight_decay=0.1,
        ema=0.9,
        reestimate_clips=8,
        frozen=frozen,
        threads=1,
    )


def _clips() -> Clips:
    frames = np.random.default_rng(0).integers(0, 200, (8, 6, 64, 64), dtype=np.uint8)
    labels = np.arange(8, dtype=np.float32) % 2
    return Clips(frames=frames, labels=labels, patients=tuple(map(str, range(8))), kinds=("coronary",) * 8, margin=1)


@pytest.fixture(scope="module")
def start() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {key: value.clone() for key, value in network.build("x3d_s", 0.0).state_dict().items()}


def test_what_is_frozen_stays_and_everything_else_is_trained(start: dict[str, torch.Tensor], tmp_path: Path) -> None:
    recipe = _recipe()
    made = loop.fit(recipe, _clips(), range(8), tmp_path, 1, start=start).state_dict()
    kept = tuple(f"blocks.{i}." for i in range(_FROZEN))
    for name in made:
        assert torch.equal(made[name], start[name]) == name.startswith(kept), name


def test_a_resumed_run_with_frozen_blocks_ends_with_the_weights_of_an_uninterrupted_one(
    start: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    recipe = _recipe()
    (tmp_path / "parts").mkdir()
    whole = loop.fit(recipe, _clips(), range(8), tmp_path, 1, start=start).state_dict()
    with pytest.raises(Paused):
        loop.fit(recipe, _clips(), range(8), tmp_path / "parts", 1, start=start, clock=Clock(0.0))
    again = loop.fit(recipe, _clips(), range(8), tmp_path / "parts", 1, start=start).state_dict()
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_frozen_blocks_want_weights_to_begin_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frozen: there is nothing to keep"):
        loop.fit(_recipe(), _clips(), range(8), tmp_path, 1)


@pytest.mark.parametrize(("model", "frozen"), [("x3d_s", 6), ("resnet18_2d", 1), ("resnet18_3d", 1)])
def test_only_blocks_of_an_x3d_can_be_kept_and_not_all(model: str, frozen: int, tmp_path: Path) -> None:
    made = replace(_recipe(frozen), model=model)
    write(made, tmp_path / "recipe.yaml")
    with pytest.raises(ConfigError, match="frozen: at most 5 of the 6 blocks of an X3D"):
        load(tmp_path / "recipe.yaml")
