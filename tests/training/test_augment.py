import numpy as np
import pytest
import torch

from training import laboratory
from training.augment import Strength, augment, draw
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
    strength = Strength(clutter=0.8, local=0.5)
    alone = augment(batch, 32, strength, np.random.default_rng(1))
    torch.set_num_threads(2)
    together = augment(batch, 32, strength, np.random.default_rng(1))
    torch.set_num_threads(threads)
    assert torch.equal(alone, together)


def _bright_with_a_vessel(frames: int = 4) -> torch.Tensor:
    """Bright ground between black shutters, with a thin dark line down the middle."""
    clip = torch.full((frames, 160, 160), 140.0)
    clip[:, :, 78:81] = 100.0
    clip[:, :20] = clip[:, -20:] = 0.0
    return clip


def _depths(clip: torch.Tensor) -> torch.Tensor:
    """How much darker the line is than both of its sides, in each row between the shutters, over the brightness."""
    rows = clip[0, 40:120]
    beside = (rows[:, 70:75].mean(1) + rows[:, 84:89].mean(1)) / 2
    return 1.0 - rows[:, 79] / beside


@pytest.mark.parametrize("seed", range(12))
def test_clutter_lies_over_every_frame_and_hides_neither_vessels_nor_shutters(seed: int) -> None:
    clip = _bright_with_a_vessel()
    changed = laboratory.cluttered(clip, 0.8, np.random.default_rng(seed))
    assert changed.shape == clip.shape
    assert (changed[:, :20] == 0.0).all()
    assert changed[:, 30:130, :70].std() > 0.0
    assert (_depths(changed).median() - _depths(clip).median()).abs() < 0.05


def test_clutter_stands_still_in_some_runs_and_drifts_in_others() -> None:
    drifting = {
        bool((made[0] != made[-1]).any())
        for seed in range(12)
        for made in [laboratory.cluttered(_bright_with_a_vessel(), 0.8, np.random.default_rng(seed))]
    }
    assert drifting == {False, True}


@pytest.mark.parametrize("seed", range(12))
def test_other_makers_processing_flattens_the_wide_and_keeps_the_fine(seed: int) -> None:
    clip = _bright_with_a_vessel()
    clip[:, 20:-20] += torch.linspace(-60.0, 60.0, 160)
    made = laboratory.processed(clip, np.random.default_rng(seed))
    assert made.shape == clip.shape
    left, right = made[:, 60:100, 20:40].mean(), made[:, 60:100, 120:140].mean()
    assert 0.0 < float(right - left) <= 75.0 + 1e-3
    assert float(_depths(made).median()) > 0.6 * float(_depths(clip).median())


def test_the_start_jitters_by_the_margin_and_fewer_frames_stride_over_all() -> None:
    clips = _clips()
    starts = set()
    for seed in range(20):
        batch = draw(clips, np.array([0]), frames=4, rng=np.random.default_rng(seed)).numpy().astype(int)
        order = batch[0, :, 0, 0] - int(clips.frames[0, 0, 0, 0])
        assert np.diff(order).tolist() == [4, 4, 4]
        starts.add(int(order[0]))
    assert starts == {0, 1, 2}


def _as_dict(strength: Strength) -> dict[str, float]:
    return {name: getattr(strength, name) for name in Strength.__slots__}
