"""What a step is taught: targets, kinds and shares go with what is shown, also where a clip is replaced."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError
from dicomqc.phantom import sight
from training import batches, replay
from training.batches import NO_KIND, Batch
from training.data.cines import Clips
from training.recipe import Recipe, load

_COUNT = 40
_KINDS = ("coronary", "graft")
_RECIPES = Path(__file__).resolve().parents[3] / "config" / "training"
_FITTED = sorted(path for path in _RECIPES.rglob("*.yaml") if path.name not in {"base.yaml", "published.yaml"})


def _recipe(folder: Path, more: str = "") -> Recipe:
    plain = "rotate_deg: 0, scale: 0, translate: 0, perspective: 0, flip: 0, blur: 0, log_gamma: 0, log_contrast: 0"
    path = folder / "recipe.yaml"
    path.write_text(
        "name: batches\nversion: 1.0.0\nmodel: x3d_s\nspec: {kind: 3d, step: 2, size: 160}\nlearning_rate: 0.001\n"
        f"weight_decay: 0.0\nphases: [{{frames: 8, size: 160, steps: 1, batch: 8}}]\n{more}\n"
        f"augment: {{{plain}, brightness: 0, noise: 0}}\n",
        encoding="utf-8",
    )
    return load(path)


def _clips(*, told: bool = True) -> Clips:
    """Half of them runs that fill in the middle, half grafts."""
    frames = np.repeat(np.arange(18, dtype=np.uint8) * 10 + 20, 160 * 160).reshape(1, 18, 160, 160)
    visible = (0.0,) * 8 + (0.9,) * 8
    return Clips(
        frames=np.repeat(frames, _COUNT, axis=0),
        labels=np.array([0.0, 1.0] * (_COUNT // 2), np.float32),
        patients=tuple(str(i) for i in range(_COUNT)),
        kinds=_KINDS * (_COUNT // 2),
        windows=((0.9, 0.0) if told else (math.nan, math.nan)) * (_COUNT // 2),
        visible=(visible, ()) * (_COUNT // 2),
        margin=1,
    )


def _made(recipe: Recipe, clips: Clips, kinds: tuple[str, ...] = _KINDS) -> Batch:
    rng = np.random.default_rng(5)
    indices = np.arange(_COUNT)
    return batches.make(recipe, clips, indices, recipe.phases[0], kinds=kinds, rng=rng, device=torch.device("cpu"))


def test_clips_come_with_their_own_label_kind_and_share(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path), _clips())
    assert batch.grey.shape == (_COUNT, 8, 160, 160)
    assert batch.targets.tolist() == [0.0, 1.0] * (_COUNT // 2)
    assert batch.kinds.tolist() == [0, 1] * (_COUNT // 2)
    assert batch.windows.tolist() == pytest.approx([0.9, 0.0] * (_COUNT // 2))
    part = batch.part(10, 16)
    assert part.targets.tolist() == batch.targets[10:16].tolist()
    assert torch.equal(part.grey, batch.grey[10:16])


def test_a_replay_is_labelled_by_what_is_seen_in_it_and_a_graft_stays_one_that_will_not_do(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path, "replay: 0.999"), _clips())
    replayed = batch.kinds == NO_KIND
    assert batch.targets[replayed].tolist() == (batch.windows[replayed] < sight.ENOUGH).float().tolist()
    assert batch.targets[1::2].tolist() == [1.0] * (_COUNT // 2)
    # Held before and after the arrival of contrast: one clip gives both labels.
    assert 0.0 < float(batch.targets[::2].mean()) < 1.0
    # In the brightest frames something is seen, in the darkest nothing.
    brightness = batch.grey[::2].mean(dim=(1, 2, 3))
    assert float(brightness[batch.targets[::2] == 0].min()) > float(brightness[batch.targets[::2] == 1].min())


def test_neither_that_a_clip_is_a_replay_nor_that_it_is_held_says_anything_of_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs fill before, in the middle of and late in the sampled frames; of the others half are grafts, half fill a little."""
    fills = [(0.0,) * late + (0.9,) * (16 - late) for late in (0, 2, 5, 8)]
    clips = replace(
        _clips(), visible=tuple(fills[n // 2 % 4] if n % 2 == 0 else ((), (0.3,) * 16)[n // 2 % 2] for n in range(_COUNT))
    )
    clips = replace(clips, kinds=tuple("graft" if not seen else "coronary" for seen in clips.visible))
    monkeypatch.setattr(batches, "augment", lambda drawn, *_: drawn[:, :, :1, :1].float())
    monkeypatch.setattr(batches, "sway", lambda frames, *_: frames)
    recipe, rng = _recipe(tmp_path, "replay: 0.4"), np.random.default_rng(2)
    shares = []
    for held in (0.0, 1.0):
        monkeypatch.setattr(replay, "HELD", held)
        made = [
            batches.make(recipe, clips, np.arange(_COUNT), recipe.phases[0], kinds=_KINDS, rng=rng, device=torch.device("cpu"))
            for _ in range(80)
        ]
        targets, replayed = torch.cat([one.targets for one in made]), torch.cat([one.kinds == NO_KIND for one in made])
        assert int(replayed.sum()) > 700
        shares += [float(targets[replayed].mean()), float(targets[~replayed].mean())]
    assert max(shares) - min(shares) < 0.1, shares


def test_a_replay_whose_label_would_not_be_clear_is_none(tmp_path: Path) -> None:
    unclear = replace(_clips(), visible=((0.5, 0.7) * 8, ()) * (_COUNT // 2))
    assert _made(_recipe(tmp_path, "replay: 0.999"), unclear).kinds[::2].tolist() == [0] * (_COUNT // 2)


def test_clips_of_which_nobody_says_what_is_seen_are_not_replayed(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path, "replay: 0.999"), _clips(told=False), ())
    assert batch.targets.tolist() == [0.0, 1.0] * (_COUNT // 2)
    assert bool(torch.isnan(batch.windows).all())


def test_a_blank_one_is_unsatisfactory_of_no_kind_and_shows_nothing(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path, "blank: 0.999"), _clips())
    assert batch.targets.tolist() == [1.0] * _COUNT
    assert batch.windows.tolist() == [0.0] * _COUNT
    assert set(batch.kinds.tolist()) == {NO_KIND}


def _shown(batch: Batch) -> list[tuple[int, ...]]:
    """The grey of each frame of each clip; `_clips` has flat ones."""
    return [tuple(round(float(frame)) for frame in clip.mean(dim=(1, 2))) for clip in batch.grey]


def test_another_look_shows_the_clip_before_and_says_the_same_of_it(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path, "again: 0.5"), _clips())
    again = batch.again.nonzero().flatten().tolist()
    assert 4 <= len(again) <= 16
    assert all(place % 2 for place in again)
    shown = _shown(batch)
    for place in again:
        assert shown[place] == shown[place - 1]
        for values in (batch.targets, batch.kinds, batch.windows):
            assert values[place] == values[place - 1]
    assert batch.part(again[0] - 1, again[0] + 1).again.tolist() == [False, True]
    assert not _made(_recipe(tmp_path), _clips()).again.any()


def test_a_held_picture_is_looked_at_twice_each_time_moved_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    textured = np.random.default_rng(0).integers(40, 200, (_COUNT, 18, 160, 160), dtype=np.uint8)
    monkeypatch.setattr(replay, "HELD", 1.0)
    batch = _made(_recipe(tmp_path, "replay: 0.5\nagain: 0.001"), replace(_clips(), frames=textured))
    replayed = batch.kinds == NO_KIND
    again = batch.again.nonzero().flatten().tolist()
    assert again
    assert again == [place + 1 for place in range(0, _COUNT, 2) if replayed[place]]
    assert all(not torch.equal(batch.grey[place], batch.grey[place - 1]) for place in again)
    # Fresh noise at least in every frame of both looks.
    assert (batch.grey[again].diff(dim=1).abs().amax(dim=(2, 3)) > 0).all()


def test_any_clip_may_be_moved_as_one_picture_over_its_own_motion(tmp_path: Path) -> None:
    moved = _made(_recipe(tmp_path, "sway: 0.999"), _clips())
    plain = _made(_recipe(tmp_path), _clips())
    assert moved.targets.tolist() == plain.targets.tolist()
    assert moved.kinds.tolist() == plain.kinds.tolist()
    # Flat pictures show the noise alone, which every moved one has.
    assert (moved.grey.std(dim=(2, 3)) > 0.1).all()
    assert float(plain.grey.std(dim=(2, 3)).max()) < 1e-4
    assert _shown(moved) == _shown(plain)


def test_no_blank_one_is_another_look_and_there_is_none_of_it(tmp_path: Path) -> None:
    batch = _made(_recipe(tmp_path, "again: 0.9\nblank: 0.4"), _clips())
    emptied = (batch.windows == 0.0) & (batch.kinds == NO_KIND)
    assert batch.again.any()
    assert not (batch.again & emptied).any()
    assert not (batch.again[1:] & emptied[:-1]).any()


def test_the_same_numbers_give_the_same_batch(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "replay: 0.5\nblank: 0.2")
    one, other = (_made(recipe, _clips()) for _ in range(2))
    assert torch.equal(one.grey, other.grey)
    assert torch.equal(one.targets, other.targets)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("replay: 0.1", "replay: 1.0", "replay"),
        ("step: 2", "step: 4", "replay: the spec must have the frames 16, 18"),
        ("step: 2,", "step: 2, first: 20,", "replay: the spec must have the frames 16, 18"),
        ("frames: 8", "frames: 5", "with replay one of 4, 8, 16"),
    ],
)
def test_replays_want_the_frames_of_which_it_is_known_what_is_seen(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "recipe.yaml"
    _recipe(tmp_path, "replay: 0.1")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load(path)


@pytest.mark.parametrize("keys", ["frame_loss: 1.0\nsight_loss: 1.0", "again_held: 0.5\nagain: 0.2"])
@pytest.mark.parametrize("spec", ["{kind: 3d, step: 2, first: 20, size: 160}", "{kind: 3d, step: 1, size: 160}"])
def test_so_do_lessons_of_single_frames(tmp_path: Path, keys: str, spec: str) -> None:
    asked = keys.partition(":")[0]
    with pytest.raises(ConfigError, match=f"{asked}: the spec must have the frames 16, 18"):
        _recipe(tmp_path, f"{keys}\nspec: {spec}")


def test_a_run_of_the_native_tree_without_shares_by_frame_is_not_replayed(tmp_path: Path) -> None:
    """A cache of an earlier version has none; nothing seen would be a wrong label."""
    clips = replace(_clips(), visible=((),) * _COUNT)
    batch = _made(_recipe(tmp_path, "replay: 0.999"), clips)
    assert batch.targets[::2].tolist() == [0.0] * (_COUNT // 2)
    assert batch.kinds[::2].tolist() == [0] * (_COUNT // 2)


@pytest.mark.parametrize(("frames", "margin"), [(8, 1), (16, 1), (16, 0)])
def test_what_is_said_of_a_frame_is_the_share_that_is_seen_in_it(tmp_path: Path, frames: int, margin: int) -> None:
    """Cached frames have greys of 20, 30, … by their place; something is seen in those of 110 and more."""
    clips = _clips()
    if not margin:
        clips = replace(clips, frames=clips.frames[:, 1:-1], margin=0)
    text = f"sight_loss: 1.0\nframe_loss: 1.0\nreplay: 0.5\nphases: [{{frames: {frames}, size: 160, steps: 1, batch: 8}}]"
    batch = _made(_recipe(tmp_path, text), clips)
    shown = torch.tensor(_shown(batch))
    assert batch.seen.shape == shown.shape == (_COUNT, frames)
    # Of the margins, which only a jittered start shows, nobody says anything; noise of what is held is a grey level at most.
    inside = (shown >= 28) & (shown <= 182)
    assert torch.equal(torch.isfinite(batch.seen), inside)
    assert bool((~inside).any()) == bool(margin)
    coronary = torch.arange(_COUNT)[:, None] % 2 == 0
    wanted = torch.where((shown >= 108) & coronary, 0.9, 0.0)
    assert batch.seen[inside].tolist() == pytest.approx(wanted[inside].tolist())


def test_nothing_is_said_of_frames_where_no_lesson_asks_or_nobody_knows(tmp_path: Path) -> None:
    taught = "sight_loss: 1.0\nframe_loss: 1.0"
    assert bool(torch.isnan(_made(_recipe(tmp_path, "replay: 0.0"), _clips()).seen).all())
    assert bool(torch.isnan(_made(_recipe(tmp_path, taught), _clips(told=False)).seen).all())
    assert bool(torch.isnan(_made(_recipe(tmp_path, taught), replace(_clips(), visible=())).seen).all())
    assert _made(_recipe(tmp_path, f"{taught}\nblank: 0.999"), _clips()).seen.eq(0.0).all()


def _late() -> Clips:
    """Runs that fill early, enough; runs in which only the last three frames are filled; grafts, in which nothing counts."""
    early, late = (0.0,) * 4 + (0.9,) * 12, (0.0,) * 10 + (0.3,) * 3 + (0.9,) * 3
    clips = _clips()
    return replace(
        clips,
        frames=np.random.default_rng(0).integers(40, 200, clips.frames.shape, dtype=np.uint8),
        labels=np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0] * 7, np.float32)[:_COUNT],
        kinds=tuple(("coronary", "coronary", "coronary", "coronary", "graft", "graft") * 7)[:_COUNT],
        windows=tuple((0.9, 0.9, 0.3, 0.3, 0.0, 0.0) * 7)[:_COUNT],
        visible=tuple((early, early, late, late, (), ()) * 7)[:_COUNT],
    )


@pytest.mark.parametrize("frames", [8, 16])
def test_a_second_look_may_hold_a_frame_that_shows_the_clips_label_clearly(tmp_path: Path, frames: int) -> None:
    text = f"again: 0.9\nagain_held: 0.6\nphases: [{{frames: {frames}, size: 160, steps: 1, batch: 8}}]"
    batch = _made(_recipe(tmp_path, text), _late())
    again = batch.again.nonzero().flatten().tolist()
    held = [place for place in again if int(batch.kinds[place]) == NO_KIND]
    assert 0.3 * len(again) < len(held) < 0.9 * len(again)
    assert {float(batch.targets[place]) for place in held} == {0.0, 1.0}
    for place in held:
        assert batch.targets[place] == batch.targets[place - 1]
        (share,) = set(batch.seen[place].tolist())
        assert float(batch.windows[place]) == pytest.approx(share)
        assert share >= sight.GRADED[1] if batch.targets[place] == 0 else share < sight.GRADED[0]
        # Moved as a picture, or under noise at least.
        assert (batch.grey[place].diff(dim=0).abs().amax(dim=(1, 2)) > 0).all()
    graded = replace(_clips(), visible=((0.5, 0.7) * 8, ()) * (_COUNT // 2))
    assert not (_made(_recipe(tmp_path, "again: 0.9\nagain_held: 0.9"), graded).kinds == NO_KIND).any()


def test_a_second_look_at_a_replay_shows_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "HELD", 0.0)
    batch = _made(_recipe(tmp_path, "replay: 0.999\nagain: 0.9\nagain_held: 0.99"), _clips())
    looks = [place for place in batch.again.nonzero().flatten().tolist() if int(batch.kinds[place - 1]) == NO_KIND]
    shown = _shown(batch)
    assert len(looks) > 5
    assert all(shown[place] == shown[place - 1] for place in looks)


def test_recipes_without_held_looks_draw_no_other_numbers(tmp_path: Path) -> None:
    states = []
    for more in ("", "again_held: 0.0", "sight_loss: 1.0\nframe_loss: 1.0"):
        rng, recipe = np.random.default_rng(5), _recipe(tmp_path, f"replay: 0.4\nsway: 0.3\nagain: 0.5\n{more}")
        batches.make(recipe, _clips(), np.arange(_COUNT), recipe.phases[0], kinds=_KINDS, rng=rng, device=torch.device("cpu"))
        states.append(rng.bit_generator.state)
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("path", _FITTED, ids=lambda path: str(path.relative_to(_RECIPES)))
def test_every_recipe_makes_a_batch_of_simulated_clips(path: Path) -> None:
    recipe, count = load(path), 2
    assert recipe.phases
    wide = len(recipe.spec.frame_numbers()) + 2 * recipe.margin
    frames = np.random.default_rng(0).integers(40, 200, (count, wide, recipe.spec.size, recipe.spec.size), dtype=np.uint8)
    first = replace(_clips(), frames=frames, labels=np.array([0.0, 1.0], np.float32), margin=recipe.margin)
    for phase in recipe.phases:
        rng = np.random.default_rng(1)
        made = batches.make(recipe, first, np.arange(count), phase, kinds=_KINDS, rng=rng, device=torch.device("cpu"))
        assert made.grey.shape == (count, phase.frames, phase.size, phase.size)
        assert made.seen.shape == (count, phase.frames)
