"""Frozen first blocks keep their weights and statistics, whatever the others learn."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import FrameSpec
from training import loop, network
from training.data.cines import Clips
from training.recipe import Phase, Recipe

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


def _clips(recipe: Recipe) -> Clips:
    frames = np.random.default_rng(0).integers(0, 200, (8, 6, 64, 64), dtype=np.uint8)
    labels = np.arange(8, dtype=np.float32) % 2
    return Clips(frames=frames, labels=labels, patients=tuple(map(str, range(8))), kinds=("coronary",) * 8, margin=1)


@pytest.fixture(scope="module")
def start() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {key: value.clone() for key, value in network.build("x3d_s", 0.0).state_dict().items()}


def test_what_is_frozen_stays_and_everything_else_is_trained(start: dict[str, torch.Tensor], tmp_path: Path) -> None:
    recipe = _recipe()
    made = loop.fit(recipe, _clips(recipe), range(8), tmp_path, 1, start=start).state_dict()
    kept = tuple(f"blocks.{i}." for i in range(_FROZEN))
    counts = [name for name in made if name.endswith("num_batches_tracked")]
    for name in made.keys() - set(counts):
        assert torch.equal(made[name], start[name]) == name.startswith(kept), name


def test_frozen_blocks_want_weights_to_begin_from_and_leave_something_to_train(
    start: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="frozen: weights to begin from"):
        loop.fit(_recipe(), _clips(_recipe()), range(8), tmp_path, 1)
    for name, blocks in (("x3d_s", 6), ("resnet18_2d", 1)):
        with pytest.raises(ConfigError, match="frozen: the network has"):
            network.freeze(network.build(name, 0.0), blocks)
    with pytest.raises(ConfigError, match="frozen: the network has 6 blocks"):
        loop.fit(_recipe(6), _clips(_recipe()), range(8), tmp_path, 1, start=start)
