import numpy as np

from training import blank


def test_blank_cines_are_grey_levels_without_a_tree_from_dead_still_to_loud() -> None:
    rng = np.random.default_rng(3)
    made = [blank.cine(4, 24, rng) for _ in range(120)]
    assert all(one.shape == (4, 24, 24) and one.dtype == np.float32 and one.flags.writeable for one in made)
    assert min(one.min() for one in made) >= 0.0
    assert max(one.max() for one in made) <= 255.0
    changes = [float(np.abs(np.diff(one, axis=0)).mean()) for one in made]
    assert sum(change == 0.0 for change in changes) > 3
    assert max(changes) > 20.0
    # The mean over time shows no more than the coarse field: its own neighbours are alike.
    assert np.median([float(np.abs(np.diff(one.mean(axis=0), axis=1)).mean()) for one in made]) < 8.0


def test_the_same_numbers_give_the_same_cine() -> None:
    one, other = (blank.cine(3, 16, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other)
