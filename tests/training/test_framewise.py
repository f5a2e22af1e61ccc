"""The lesson of single frames: what an X3D is asked while it is trained, and that nothing of it stays in what is published."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import FrameSpec
from training import loop, network
from training.batches import NO_KIND, Batch
from training.clock import Clock, Paused
from training.data.cines import Clips
from training.recipe import Phase, Recipe, load

_OUTPUTS = 3
_BEFORE = ("pre_conv", "pre_norm", "pre_act")
_SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml"


def _told() -> torch.nn.Module:
    torch.manual_seed(0)
    model = network.build("x3d_s", 0.0, _OUTPUTS)
    network.tell_frames(model)
    return model


def _clip() -> torch.Tensor:
    return torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))


def test_scored_it_is_the_same_network_under_the_same_names() -> None:
    told, plain = _told().eval(), network.build("x3d_s", 0.0, _OUTPUTS).eval()
    plain.load_state_dict(told.state_dict())
    with torch.no_grad():
        assert torch.allclose(told(_clip()), plain(_clip()), atol=1e-5)


def test_in_training_the_clips_answer_is_the_plain_one_and_a_frames_that_of_its_own_features() -> None:
    told, plain = _told().train(), network.build("x3d_s", 0.0, _OUTPUTS).train()
    plain.load_state_dict(told.state_dict())
    with torch.no_grad():
        outputs = told(_clip()).unflatten(1, (_OUTPUTS, -1))
        assert outputs.shape == (2, _OUTPUTS, 1 + 4)
        assert torch.allclose(outputs[:, :, 0], plain(_clip()), atol=1e-4)
        pool, last = told.get_submodule("blocks.5.pool"), told.get_submodule("blocks.5.proj")
        features = _clip()
        for name in ("blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", *(f"blocks.5.pool.{n}" for n in _BEFORE)):
            features = told.get_submodule(name)(features)
        third = features[:, :, 2:3].mean(dim=(3, 4), keepdim=True)
        for name in ("post_conv", "post_act"):
            third = pool.get_submodule(name)(third)
        assert torch.allclose(outputs[:, :, 3], last(third.flatten(1)), atol=1e-4)


def _fit(frame_loss: float) -> loop.Fit:
    recipe = Recipe(
        name="framewise",
        version="1.0.0",
        model="x3d_s",
        spec=FrameSpec(kind="3d", step=2, size=64),
        phases=(Phase(frames=4, size=64, steps=2, batch=2),),
        learning_rate=0.01,
        weight_decay=0.0,
        sight_loss=2.0,
        frame_loss=frame_loss,
        reestimate_clips=8,
        threads=1,
    )
    frames = np.random.default_rng(0).integers(0, 200, (4, 18, 64, 64), dtype=np.uint8)
    clips = Clips(
        frames=frames,
        labels=np.array([0, 1, 0, 1], np.float32),
        patients=tuple("abcd"),
        kinds=("coronary",) * 4,
        windows=(0.9, 0.1, 0.9, 0.1),
        visible=((0.9,) * 16, (0.1,) * 16) * 2,
        margin=1,
    )
    return loop.Fit(
        recipe=recipe,
        clips=clips,
        train=np.arange(4),
        validation=(),
        seed=1,
        device=torch.device("cpu"),
        kinds=(),
        sight=True,
        start=None,
    )


def _batch(seen: torch.Tensor, *, again: bool = False) -> Batch:
    """Two clips, of each of whose two frames the share `seen` [2,2] is seen; the second may be another look at the first."""
    return Batch(
        grey=torch.empty(2),
        targets=torch.tensor([0.0, 1.0]),
        kinds=torch.tensor([NO_KIND, NO_KIND]),
        windows=torch.tensor([0.5, 0.5]),
        seen=seen,
        again=torch.tensor([False, again]),
    )


@pytest.mark.parametrize("looked_twice", [True, False])
def test_the_relative_lesson_of_two_looks_is_weighed_into_the_loss_of_the_label_s_output(*, looked_twice: bool) -> None:
    logits = torch.tensor([[[0.3, 9.0, 9.0], [0.0, 0.0, 1.0]], [[-0.9, 9.0, 9.0], [0.0, 2.0, 3.0]]], requires_grad=True)
    batch = _batch(torch.full((2, 2), math.nan), again=looked_twice)
    plain = _fit(0.0)
    weighed = replace(plain, recipe=replace(plain.recipe, again=0.5, again_relative=3.0))
    without, taught = (loop._loss(run, logits.flatten(1), batch) for run in (plain, weighed))
    wanted = 3.0 * 1.2**2 / ((0.3**2 + 0.9**2) / 2.0 + 0.5) if looked_twice else 0.0
    assert float((taught - without).detach()) == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    taught.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_lesson_is_the_squared_error_of_known_frames_over_the_number_of_all() -> None:
    logits = torch.tensor([[[0.3, 9.0, 9.0], [0.0, 0.0, 1.0]], [[-0.2, 9.0, 9.0], [0.0, 2.0, 3.0]]], requires_grad=True)
    batch = _batch(torch.tensor([[0.5, math.nan], [0.9, 0.1]]))
    without = loop._loss(_fit(0.0), logits.flatten(1), batch)
    taught = loop._loss(_fit(3.0), logits.flatten(1), batch)
    said, seen = torch.tensor([0.0, 2.0, 3.0]).sigmoid(), torch.tensor([0.5, 0.9, 0.1])
    assert float((taught - without).detach()) == pytest.approx(3.0 * float((said - seen).square().sum()) / 4, rel=1e-5)
    # It moves the answers for known frames, of the last output, and nothing else.
    (gradient,) = torch.autograd.grad(taught - without, logits)
    wanted = torch.zeros_like(gradient)
    wanted[[0, 1, 1], [1, 1, 1], [1, 1, 2]] = 3.0 * 2.0 * (said - seen) * said * (1.0 - said) / 4.0
    assert torch.allclose(gradient, wanted, atol=1e-6)


@pytest.mark.parametrize("micro", [0, 2])
def test_a_run_with_it_resumes_and_ends_in_a_network_of_one_output(tmp_path: Path, micro: int) -> None:
    run = _fit(1.0)
    recipe = replace(
        run.recipe, micro_batch=micro, checkpoint_steps=1, ema=0.9, phases=(Phase(frames=4, size=64, steps=2, batch=4),)
    )
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    whole = loop.fit(recipe, run.clips, range(4), folders[0], seed=1)
    with pytest.raises(Paused):
        loop.fit(recipe, run.clips, range(4), folders[1], seed=1, clock=Clock(0.0))
    parts = loop.fit(recipe, run.clips, range(4), folders[1], seed=1)
    assert loop.score(recipe, whole, run.clips, range(4)).shape == (4,)
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("sight_loss: 0", "frame_loss: an X3D and a sight_loss are needed"),
        ("model: resnet18_3d\nfrozen: 0", "frame_loss: an X3D and a sight_loss are needed"),
        ("again: 0\nagain_loss: 0", "again_held: again is needed"),
    ],
)
def test_a_recipe_that_cannot_give_these_lessons_is_refused(tmp_path: Path, keys: str, says: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"base: {_SHIPPED}\nframe_loss: 1.0\nagain_held: 0.4\n{keys}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load(path)
