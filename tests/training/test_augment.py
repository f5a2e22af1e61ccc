import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training import augment as augmented
from training import laboratory
from training.augment import Strength, augment, draw, sway
from training.data.cines import Clips

_STILL = Strength(
    rotate_deg=0, scale=0, translate=0, perspective=0, flip=0, blur=0, log_gamma=0, log_contrast=0, brightness=0, noise=0
)


def _clips(frames: int = 18) -> Clips:
    grey = np.random.default_rng(0).integers(40, 200, (3, 1, 32, 32), dtype=np.uint8)
    numbered = np.broadcast_to(np.arange(frames, dtype=np.uint8)[None, :, None, None], (3, frames, 32, 32))
    return Clips(
        frames=np.asarray(grey + numbered),
        labels=np.zeros(3, np.float32),
        patients=("a", "b", "c"),
        kinds=("coronary",) * 3,
        margin=1,
    )


def test_one_draw_moves_and_tones_every_frame_of_a_clip_alike() -> None:
    batch = torch.from_numpy(np.repeat(_clips().frames[:, :1], 4, axis=1))
    changed = augment(batch, 32, Strength(noise=0.0), np.random.default_rng(1))
    assert torch.equal(changed[:, 0], changed[:, 3])
    assert not torch.allclose(changed[:, 0], batch[:, 0].float(), atol=1.0)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_noise_is_fresh_in_every_frame() -> None:
    batch = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    noisy = augment(batch, 32, Strength(**{**_as_dict(_STILL), "noise": 6.0}), np.random.default_rng(1))
    assert noisy[0].std(dim=0).mean() > 0.3


def test_strength_zero_changes_nothing() -> None:
    batch = torch.from_numpy(_clips().frames)
    assert torch.allclose(augment(batch, 32, _STILL, np.random.default_rng(1)), batch.float(), atol=1e-3)


def test_beyond_the_edge_its_pixels_are_repeated() -> None:
    batch = torch.full((4, 2, 32, 32), 90, dtype=torch.uint8)
    strong = Strength(**{**_as_dict(_STILL), "rotate_deg": 45.0, "translate": 0.4, "perspective": 0.3, "blur": 1.0})
    assert torch.allclose(augment(batch, 32, strong, np.random.default_rng(2)), batch.float(), atol=1e-3)


def test_the_same_generator_gives_the_same_batch_at_any_number_of_threads() -> None:
    batch = torch.from_numpy(_clips().frames)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    strength = Strength(clutter=0.8, local=0.5, texture=1.0)
    alone = augment(batch, 32, strength, np.random.default_rng(1))
    torch.set_num_threads(2)
    together = augment(batch, 32, strength, np.random.default_rng(1))
    torch.set_num_threads(threads)
    assert torch.equal(alone, together)


def _run(noise: float = 4.0, frames: int = 4) -> torch.Tensor:
    """Uneven ground between black shutters, with a dark line of 3 px down the middle, under white noise."""
    source = torch.Generator().manual_seed(3)
    line = torch.linspace(-1.0, 1.0, 160)
    clip = (140.0 + 40.0 * line + 15.0 * torch.sin(9.0 * line)[:, None]).repeat(frames, 1, 1)
    clip[:, :, 78:81] -= 30.0
    clip += noise * torch.randn(clip.shape, generator=source)
    clip[:, :20] = clip[:, -20:] = 0.0
    return clip


def _contrast_to_noise(clip: torch.Tensor) -> float:
    """How much darker the line is than both of its sides, over what changes from frame to frame."""
    rows = clip[:, 40:120]
    beside = (rows[:, :, 70:75].mean(2) + rows[:, :, 84:89].mean(2)) / 2
    depth = (beside - rows[:, :, 78:81].mean(2)).mean()
    return float(depth / (rows[1:] - rows[:-1]).std())


@pytest.mark.parametrize("seed", range(12))
def test_clutter_is_as_strong_as_asked_and_hides_neither_vessels_nor_shutters(seed: int) -> None:
    clip = _run(noise=0.0)
    changed = laboratory.cluttered(clip, 0.8, np.random.default_rng(seed))
    assert changed.shape == clip.shape
    assert (changed[:, :20] == 0.0).all()
    middle = clip[:, 40:-40, 40:-40]
    # The draw from 0 to 0.8, and what it came to of the field's middle.
    added = (changed[:, 40:-40, 40:-40] / middle).log().std() / (middle.std() / middle.mean())
    assert 0.0 < float(added) < 1.2
    depth, before = (one[:, 40:120, 78:81].mean() / one[:, 40:120, 70:89].mean() for one in (changed, clip))
    assert abs(float(depth - before)) < 0.05


def test_clutter_comes_in_all_strengths_still_and_drifting() -> None:
    clip = _run(noise=0.0)
    drifting, added = set(), []
    for seed in range(12):
        made = laboratory.cluttered(clip, 0.8, np.random.default_rng(seed))
        drifting.add(bool((made[0] != made[-1]).any()))
        added.append(float((made - clip)[0, 40:-40].std() / clip[0, 40:-40].std()))
    assert drifting == {False, True}
    assert min(added) < 0.25
    assert max(added) > 0.5


@pytest.mark.parametrize("seed", range(12))
def test_other_makers_processing_flattens_the_wide_and_keeps_a_vessel_above_the_noise(seed: int) -> None:
    clip = _run()
    made = laboratory.processed(clip, np.random.default_rng(seed))
    assert made.shape == clip.shape
    left, right = (made[:, 60:100, where].mean() for where in (slice(20, 40), slice(120, 140)))
    before = clip[:, 60:100, 120:140].mean() - clip[:, 60:100, 20:40].mean()
    assert 0.0 < float(right - left) < 1.02 * float(before)
    assert 0.6 < _contrast_to_noise(made) / _contrast_to_noise(clip) < 1.1


@pytest.mark.parametrize("seed", range(12))
def test_a_random_filter_changes_textures_and_keeps_the_run_s_grey_and_its_dark_line(seed: int) -> None:
    clip = _run()
    made = laboratory.filtered(clip, np.random.default_rng(seed))
    assert made.shape == clip.shape
    assert not torch.allclose(made, clip, atol=1.0)
    assert float(made.mean()) == pytest.approx(float(clip.mean()), abs=0.5)
    assert float(made.std()) < 1.01 * float(clip.std())
    assert _contrast_to_noise(made) > 0.2 * _contrast_to_noise(clip)


def test_a_random_filter_is_one_for_all_frames_and_of_every_kind() -> None:
    still = _run(noise=0.0, frames=1).repeat(3, 1, 1)
    made = [laboratory.filtered(still, np.random.default_rng(seed)) for seed in range(24)]
    assert all(torch.equal(one[0], one[-1]) for one in made)
    fine = [float((one[0, 40:120, 1:] - one[0, 40:120, :-1]).abs().mean()) for one in made]
    assert min(fine) < 0.7 * max(fine)
    flat = torch.full((2, 32, 32), 90.0)
    assert torch.allclose(laboratory.filtered(flat, np.random.default_rng(0)), flat, atol=1e-2)


def test_the_share_of_textures_is_as_asked() -> None:
    batch = torch.from_numpy(np.repeat(_clips(frames=2).frames[:1], 40, axis=0))
    changed = augment(batch, 32, Strength(**{**_as_dict(_STILL), "texture": 0.5}), np.random.default_rng(1))
    count = int(((changed - batch).abs().amax(dim=(1, 2, 3)) > 0.5).sum())
    assert 10 <= count <= 30


def test_the_start_jitters_by_the_margin_and_fewer_frames_stride_over_all() -> None:
    clips = _clips()
    starts = set()
    for seed in range(20):
        batch, places = draw(clips, np.array([0]), frames=4, rng=np.random.default_rng(seed))
        order = batch.numpy().astype(int)[0, :, 0, 0] - int(clips.frames[0, 0, 0, 0])
        assert np.diff(order).tolist() == [4, 4, 4]
        assert order.tolist() == places[0].tolist()
        starts.add(int(order[0]))
    assert starts == {0, 1, 2}


def test_a_picture_that_moves_differs_in_every_frame() -> None:
    rng = np.random.default_rng(1)
    still = np.repeat(rng.integers(60, 180, (1, 48, 48), dtype=np.uint8), 16, axis=0)
    made = [sway(still, np.random.default_rng(seed)) for seed in range(60)]
    way = [np.abs(np.diff(one.astype(int), axis=0)).mean(axis=(1, 2)) for one in made]
    # Those that stand still have their own noise alone, which is at most 1 in spread.
    moving = [one for one in way if one.mean() > 1.5]
    assert 36 <= len(moving) <= 57
    assert all((one > 0.1).all() for one in moving)


def _light(seed: int, side: int = 80) -> NDArray[np.float64]:
    """Where a spot of light is that stands still but for the sway, right and down [16,2], in pixels about its mean."""
    still = np.full((16, side, side), 40, np.uint8)
    still[:, side // 2 - 9 : side // 2 + 9, side // 2 - 9 : side // 2 + 9] = 200
    made = sway(still, np.random.default_rng(seed)).astype(float)
    assert (np.abs(np.diff(made, axis=0)).mean(axis=(1, 2)) > 0.02).all()
    light = np.where(made > 60.0, made - 40.0, 0.0)
    total = light.sum(axis=(1, 2))
    places = [(light.sum(axis=axis) * np.arange(side)).sum(axis=1) / total for axis in (1, 2)]
    return np.stack([one - one.mean() for one in places], axis=-1)


def test_a_picture_has_noise_of_its_own_in_each_frame_and_moves_but_for_a_fifth() -> None:
    spans = [float(np.ptp(_light(seed), axis=0).max()) for seed in range(200)]
    assert 20 < sum(span < 0.2 for span in spans) < 75
    # At 160 pixels by up to 6.5 to either side, at half of them by half as much; few draws come near the end.
    assert 2.0 < max(spans) < 6.6


@pytest.mark.parametrize(("own_phases", "least", "most"), [(0.0, 0.35, 1.0), (1.0, 0.0, 0.3)])
def test_a_picture_is_moved_every_way_and_comes_back_as_it_went_where_it_has_one_phase(
    own_phases: float, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long axis of its path, and whether the other one is much shorter. Heart and breath together make some wide."""
    monkeypatch.setattr(augmented, "_OWN_PHASES", own_phases)
    ways, narrow = [], []
    for seed in range(200):
        path = _light(seed)
        if np.ptp(path, axis=0).max() < 1.0:
            continue
        lengths, axes = np.linalg.eigh(np.cov(path.T))
        ways.append(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180.0)
        narrow.append(lengths[0] < 0.05 * lengths[1])
    assert min(np.histogram(ways, 4, (0.0, 180.0))[0]) > 10
    assert least < np.mean(narrow) < most


def test_a_picture_turns_to_and_fro_and_keeps_the_time_of_what_was_sampled() -> None:
    """A bar across the middle: by how much its ends go up and down against each other, and how often in a minute."""
    still = np.full((16, 80, 80), 40, np.uint8)
    still[:, 38:42] = 200
    turns, pace = [], {1.0: 0.0, 60.0: 0.0}
    for seed in range(60):
        ends = []
        for seconds in pace:
            light = np.clip(sway(still, np.random.default_rng(seed), seconds).astype(float) - 60.0, 0.0, None)
            rows = (light * np.arange(80)[:, None]).sum(axis=1) / light.sum(axis=1)
            ends.append(rows[:, 75] - rows[:, 5])
            pace[seconds] += float(np.abs(np.diff(rows[:, 40])).sum())
        turns.append(np.ptp(ends[-1]))
    # 70 columns turned by up to 3 degrees to either side.
    assert 1.0 < max(turns) < 7.5
    assert pace[60.0] > 1.5 * pace[1.0]


def _as_dict(strength: Strength) -> dict[str, float]:
    return {name: getattr(strength, name) for name in Strength.__slots__}
