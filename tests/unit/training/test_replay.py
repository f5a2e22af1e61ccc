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
        made = replay.clip(_numbered(), _SHARES, np.random.default_rng(seed), held=seed % 2 == 0)
        shown = _shown(made.frames)
        assert len(shown) == 16
        assert (len(set(shown)) == 1) == (seed % 2 == 0)
        assert made.seen.tolist() == np.array(_SHARES)[shown].tolist()
        assert made.window == sight.best(np.array(_SHARES)[shown])


def test_runs_are_looped_and_backwards_and_both_labels_come_of_one_clip() -> None:
    made = [replay.clip(_numbered(), _SHARES, np.random.default_rng(seed), held=False) for seed in range(200)]
    orders = [_shown(one.frames) for one in made]
    backwards = sum(order == list(range(16))[::-1] for order in orders)
    assert 20 < backwards < 70
    loops = [order for order in orders if len(set(order)) < 16]
    assert len(loops) == len(orders) - backwards
    assert all(abs(np.diff(order)).max() == 1 for order in loops)
    enough = sum(one.window >= sight.ENOUGH for one in made)
    assert 50 < enough < 150


def test_of_fewer_frames_each_stands_for_several_and_no_loop_stands_still() -> None:
    every_other = _SHARES[::2]
    for seed in range(200):
        made = replay.clip(_numbered()[::2], every_other, np.random.default_rng(seed), held=seed % 2 == 0)
        shown = [place // 2 for place in _shown(made.frames)]
        assert made.window == sight.best(np.repeat(np.array(every_other)[shown], 2))
        assert (len(set(shown)) == 1) == (seed % 2 == 0)


def test_nothing_counts_in_a_run_of_which_nothing_counted() -> None:
    for held in (True, False):
        made = [replay.clip(_numbered(), (), np.random.default_rng(seed), held=held) for seed in range(20)]
        assert all(one.window == 0.0 and one.seen.tolist() == [0.0] * 16 for one in made)
