from dataclasses import replace

import numpy as np
import pytest

from dicomqc.core.errors import ConfigError
from training.data import splits
from training.data.cines import Clips


def _clips(patients: int = 100, each: int = 4) -> Clips:
    count = patients * each
    owner = [f"p{n // each:03d}" for n in range(count)]
    rng = np.random.default_rng(0)
    labels = (rng.random(count) < 0.2).astype(np.float32)
    kinds = tuple(str(rng.choice(["graft", "aorta", "rare"], p=[0.5, 0.4, 0.1])) if label else "coronary" for label in labels)
    return Clips(
        frames=np.zeros((count, 1, 1, 1), np.uint8),
        labels=labels,
        patients=tuple(owner),
        kinds=kinds,
        margin=0,
        twins=("",) * count,
        splits=("",) * count,
        pixels=tuple(map(str, range(count))),
    )


def _owners(clips: Clips, indices: tuple[int, ...]) -> set[str]:
    return {clips.patients[i] for i in indices}


def test_no_patient_is_in_two_parts_and_no_clip_is_lost() -> None:
    clips = _clips()
    made = splits.split(clips, 1)
    parts = list(made.parts().values())
    assert sorted(i for part in parts for i in part) == list(range(400))
    owners = [_owners(clips, part) for part in parts]
    assert [len(o) for o in owners] == pytest.approx([70, 15, 15], abs=2)
    assert len(set.union(*owners)) == 100


@pytest.mark.parametrize("seed", range(5))
def test_labels_and_kinds_are_shared_out_evenly(seed: int) -> None:
    clips = _clips()
    for indices, share in zip(splits.split(clips, seed).parts().values(), splits.SHARES, strict=True):
        for kind in ("graft", "aorta"):
            whole = clips.kinds.count(kind)
            assert sum(clips.kinds[i] == kind for i in indices) == pytest.approx(share * whole, abs=1.5)
        assert clips.labels[list(indices)].sum() == pytest.approx(share * clips.labels.sum(), abs=1)
        assert sum(clips.kinds[i] == "rare" for i in indices) >= 1


def test_patients_are_drawn_whole_up_to_a_count_and_the_same_ones_whatever_the_order_of_clips() -> None:
    clips = replace(_clips(), ids=tuple(f"c{n:03d}" for n in range(400)))
    part = splits.split(clips, 1).train
    chosen = splits.drawn(clips, part, 1, 42)
    assert len(chosen) == 42
    assert list(chosen) == sorted(set(chosen) & set(part))
    owned = [sum(clips.patients[i] == owner for i in chosen) for owner in _owners(clips, chosen)]
    assert sorted(owned) == [2, *[4] * 10], "only the last patient is cut"
    assert set(splits.drawn(clips, part, 1, 20)) < set(chosen) != set(splits.drawn(clips, part, 2, 42))
    assert splits.drawn(clips, part, 1, 1000) == part
    back = np.arange(400)[::-1]
    turned = replace(clips, patients=clips.patients[::-1], ids=clips.ids[::-1])
    assert {turned.ids[i] for i in splits.drawn(turned, back[list(part)], 1, 42)} == {clips.ids[i] for i in chosen}


def test_the_split_follows_from_the_seed_and_not_from_the_order_of_clips() -> None:
    clips = _clips()
    assert splits.split(clips, 1) == splits.split(clips, 1)
    assert splits.split(clips, 1) != splits.split(clips, 2)
    order = np.random.default_rng(0).permutation(400)
    shuffled = replace(
        clips,
        labels=clips.labels[order],
        patients=tuple(clips.patients[i] for i in order),
        kinds=tuple(clips.kinds[i] for i in order),
        pixels=tuple(clips.pixels[i] for i in order),
    )
    assert _owners(shuffled, splits.split(shuffled, 1).test) == _owners(clips, splits.split(clips, 1).test)


def test_twins_and_repeated_pictures_bind_their_patients_together() -> None:
    clips = _clips()
    twins, pixels = [""] * 400, list(clips.pixels)
    for index in range(0, 40, 8):
        twins[index] = twins[index + 4] = f"pair{index}"
        pixels[400 - 1 - index] = pixels[index]
    bound = replace(clips, twins=tuple(twins), pixels=tuple(pixels))
    made = splits.split(bound, 3)
    where = {i: name for name, part in made.parts().items() for i in part}
    for index in range(0, 40, 8):
        assert where[index] == where[index + 4] == where[399 - index]


def test_a_split_that_leaks_is_found_whoever_made_it() -> None:
    clips = _clips()
    made = splits.split(clips, 1)
    moved = replace(made, train=made.train[:-1], test=tuple(sorted((*made.test, made.train[-1]))))
    with pytest.raises(ConfigError, match="a patient is in train and in test"):
        splits.check(clips, moved)
    apart = replace(clips, patients=tuple(map(str, range(400))))
    pixels = list(clips.pixels)
    pixels[made.test[0]] = pixels[made.train[0]]
    with pytest.raises(ConfigError, match="a picture is in train and in test"):
        splits.check(replace(apart, pixels=tuple(pixels)), made)


def test_a_given_part_is_kept_and_the_rest_is_shared_out() -> None:
    clips = _clips()
    given = replace(clips, splits=tuple("test" if patient < "p010" else "" for patient in clips.patients))
    made = splits.split(given, 1)
    assert {f"p{n:03d}" for n in range(10)} <= _owners(given, made.test)
    assert len(_owners(given, made.test)) == pytest.approx(15, abs=2)
    torn = list(given.splits)
    torn[0] = "train"
    with pytest.raises(ConfigError, match="given to train and to test"):
        splits.split(replace(given, splits=tuple(torn)), 1)


def test_too_few_patients_or_a_class_that_does_not_reach_a_part_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 independent patients cannot be shared"):
        splits.split(_clips(patients=2), 1)
    lonely = _clips()
    labels = np.zeros(400, np.float32)
    labels[0] = 1.0
    with pytest.raises(ConfigError, match="has no clip of one label"):
        splits.split(replace(lonely, labels=labels), 1)


def test_the_digest_changes_with_the_members() -> None:
    clips = _clips()
    known = splits.digest(clips, (1, 2))
    assert known == splits.digest(_clips(), (1, 2)) != splits.digest(clips, (1, 3))
    # A file that was exchanged behind its path, and one that was labelled anew, is another clip.
    assert splits.digest(replace(clips, pixels=tuple(f"{n}x" for n in range(400))), (1, 2)) != known
    assert splits.digest(replace(clips, labels=1.0 - clips.labels), (1, 2)) != known


def test_other_shares_are_kept_to() -> None:
    clips = _clips()
    made = splits.split(clips, 1, (0.9, 0.06, 0.04))
    assert [len(_owners(clips, part)) for part in made.parts().values()] == pytest.approx([90, 6, 4], abs=2)
