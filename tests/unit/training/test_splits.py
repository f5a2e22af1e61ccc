import numpy as np

from training.data.splits import by_patient, digest

_PATIENTS = [f"p{n // 4}" for n in range(400)]


def test_no_patient_is_in_two_parts_and_no_clip_is_lost() -> None:
    split = by_patient(_PATIENTS, 1)
    parts = [split.train, split.validation, split.test]
    assert sorted(i for part in parts for i in part) == list(range(400))
    owners = [{_PATIENTS[i] for i in part} for part in parts]
    assert [len(o) for o in owners] == [70, 15, 15]
    assert len(set.union(*owners)) == 100


def test_the_split_follows_from_the_seed_and_not_from_the_order_of_clips() -> None:
    assert by_patient(_PATIENTS, 1) == by_patient(_PATIENTS, 1)
    assert by_patient(_PATIENTS, 1) != by_patient(_PATIENTS, 2)
    order = np.random.default_rng(0).permutation(400)
    shuffled = [_PATIENTS[i] for i in order]
    assert {shuffled[i] for i in by_patient(shuffled, 1).test} == {_PATIENTS[i] for i in by_patient(_PATIENTS, 1).test}


def test_the_digest_changes_with_the_members() -> None:
    assert digest(_PATIENTS, (1, 2)) != digest(_PATIENTS, (1, 3))
