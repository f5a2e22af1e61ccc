"""Replays: every frame is the clip's own, and the label is what is then seen."""

import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import sight
from training import replay

_SHARES = (0.0,) * 8 + (0.2, 0.5, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9)


def _numbered() -> NDArray[np.uint8]:
    """Sixteen flat frames of 10, 20, … 160."""
    return np.repeat(np.arange(10, 170, 10, dtype=np.uint8), 24 * 24).reshape(16, 24, 24)


def _shown(frames: NDArray[np.uint8]) -> list[int]:
    """Which frame of `_numbered` each one is, also under noise."""
    return [round(float(frame.mean()) / 10.0) - 1 for frame in frames]


def test_what_is_seen_is_the_share_of_the_frames_that_are_shown() -> None:
    for seed in range(200):
        frames, seen = replay.clip(_numbered(), _SHARES, np.random.default_rng(seed), held=seed % 2 == 0)
        shown = _shown(frames)
        assert len(shown) == 16
        assert (len(set(shown)) == 1) == (seed % 2 == 0)
        assert seen == sight.best(np.array(_SHARES)[shown])


def test_runs_are_looped_and_backwards_and_both_labels_come_of_one_clip() -> None:
    made = [replay.clip(_numbered(), _SHARES, np.random.default_rng(seed), held=False) for seed in range(200)]
    orders = [_shown(frames) for frames, _ in made]
    backwards = sum(order == list(range(16))[::-1] for order in orders)
    assert 20 < backwards < 70
    loops = [order for order in orders if len(set(order)) < 16]
    assert len(loops) == len(orders) - backwards
    assert all(abs(np.diff(order)).max() == 1 for order in loops)
    enough = sum(seen >= sight.ENOUGH for _, seen in made)
    assert 50 < enough < 150


def test_of_fewer_frames_each_stands_for_several_and_no_loop_stands_still() -> None:
    every_other = _SHARES[::2]
    for seed in range(200):
        frames, seen = replay.clip(_numbered()[::2], every_other, np.random.default_rng(seed), held=seed % 2 == 0)
        shown = [place // 2 for place in _shown(frames)]
        assert seen == sight.best(np.repeat(np.array(every_other)[shown], 2))
        # A picture that is the same in every frame has noise that is not.
        assert len(set(shown)) > 1 or (np.abs(np.diff(frames.astype(int), axis=0)).max(axis=(1, 2)) > 0).all()


def test_nothing_counts_in_a_run_of_which_nothing_counted() -> None:
    for held in (True, False):
        assert all(replay.clip(_numbered(), (), np.random.default_rng(seed), held=held)[1] == 0.0 for seed in range(20))


def test_a_held_picture_that_moves_differs_in_every_frame() -> None:
    rng = np.random.default_rng(1)
    still = np.repeat(rng.integers(60, 180, (1, 48, 48), dtype=np.uint8), 16, axis=0)
    made = [replay.clip(still, _SHARES, np.random.default_rng(seed), held=True)[0] for seed in range(60)]
    way = [np.abs(np.diff(one.astype(int), axis=0)).mean(axis=(1, 2)) for one in made]
    # Those that stand still have their own noise alone, which is at most 1 in spread.
    moving = [one for one in way if one.mean() > 1.5]
    assert 36 <= len(moving) <= 57
    assert all((one > 0.1).all() for one in moving)


def test_a_held_picture_has_noise_of_its_own_in_each_frame_and_moves_but_for_a_fifth() -> None:
    """A column of light on the left half, whose middle tells how far it has moved."""
    still = np.full((16, 80, 80), 40, np.uint8)
    still[:, :, 30:50] = 200
    spans = []
    for seed in range(200):
        made = replay.clip(still, _SHARES, np.random.default_rng(seed), held=True)[0].astype(float)
        assert (np.abs(np.diff(made, axis=0)).mean(axis=(1, 2)) > 0.02).all()
        row = made[:, 30:50].mean(axis=1) - 40.0
        spans.append(np.ptp((row * np.arange(80)).sum(axis=1) / row.sum(axis=1)))
    assert 20 < sum(span < 0.2 for span in spans) < 75
    # At 160 pixels by up to 6.5 to either side, at half of them by half as much; few draws come near the end.
    assert 2.0 < max(spans) < 6.6
