"""Patient-level splits: no patient is ever in two parts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into the clips of a cohort, ascending."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def by_patient(patients: Sequence[str], seed: int, shares: tuple[float, float] = (0.70, 0.15)) -> Split:
    """Split clips by the patient of each; `shares` are of patients, for train and validation, and test is the rest."""
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    first, second = round(shares[0] * len(names)), round((shares[0] + shares[1]) * len(names))
    part = {names[place]: (rank >= first) + (rank >= second) for rank, place in enumerate(order)}
    lists: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index, patient in enumerate(patients):
        lists[part[patient]].append(index)
    return Split(train=tuple(lists[0]), validation=tuple(lists[1]), test=tuple(lists[2]))


def digest(patients: Sequence[str], indices: Sequence[int]) -> str:
    """Hex SHA-256 of one part: which clips of which patients it holds."""
    lines = "\n".join(f"{index} {patients[index]}" for index in indices)
    return hashlib.sha256(lines.encode()).hexdigest()
