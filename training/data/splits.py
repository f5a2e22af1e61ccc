"""Patient-level splits: no patient, twin or repeated picture is ever in two parts; labels and kinds are shared out evenly.

A split is made before any statistic is fitted, and follows from the seed and the clips' facts, not from their order.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from training.data.cines import Clips
from training.data.manifest import PARTS

SHARES: Final = (0.70, 0.15, 0.15)
_PASSES: Final = 10
_WORTH: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into the clips of a cohort, ascending."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def parts(self) -> dict[str, tuple[int, ...]]:
        """The three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split(clips: Clips, seed: int, shares: Sequence[float] = SHARES) -> Split:
    """Share out the clips by patient, stratified by label and kind; a part that the manifest gives is kept.

    `shares` are those of training, validation and test. Raises ConfigError where too few patients are there, a given part
    would leak, or a part misses a class.
    """
    groups = grouped(clips)
    given = _given(clips, groups)
    counts = _counts(clips, groups)
    part = _share_out(counts, given, _names(clips, groups), seed, np.array(shares))
    lists: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index, group in enumerate(groups):
        lists[part[group]].append(index)
    made = Split(train=tuple(lists[0]), validation=tuple(lists[1]), test=tuple(lists[2]))
    check(clips, made)
    return made


def drawn(clips: Clips, part: Sequence[int], seed: int, count: int) -> tuple[int, ...]:
    """At most `count` clips of a part, ascending: patient by patient in an order that follows from the seed, the last one cut.

    It depends on nothing but the seed and who is in the part, so that every model and fit gets the same clips.
    """
    patients = sorted({clips.patients[i] for i in part})
    order = np.random.default_rng([seed, 1]).permutation(len(patients))
    turn = {patients[patient]: place for place, patient in enumerate(order)}
    chosen = sorted(part, key=lambda i: (turn[clips.patients[i]], clips.name(i)))[:count]
    return tuple(sorted(chosen))


def grouped(clips: Clips) -> NDArray[np.int64]:
    """The number of each clip's group [clips]: clips that share a patient, a twin or their cached pixels belong together."""
    parent = list(range(len(clips.labels)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for facts in (clips.patients, clips.twins, clips.pixels):
        first: dict[str, int] = {}
        for index, fact in enumerate(facts):
            if fact:
                parent[root(index)] = root(first.setdefault(fact, index))
    return np.unique([root(index) for index in range(len(parent))], return_inverse=True)[1]


def check(clips: Clips, made: Split) -> None:
    """Raise ConfigError where a part misses a class, or two parts share a patient, a twin or pixels (Split may be foreign)."""
    for name, indices in made.parts().items():
        labels = {float(clips.labels[i]) for i in indices}
        if labels != {0.0, 1.0}:
            raise ConfigError(
                f"split: {name} has no clip of one label; more patients of that label are needed, or a column `split`"
            )
    for what, facts in (("patient", clips.patients), ("twin", clips.twins), ("picture", clips.pixels)):
        where: dict[str, str] = {}
        for name, indices in made.parts().items():
            for fact in {facts[i] for i in indices} if facts else ():
                if fact and where.setdefault(fact, name) != name:
                    raise ConfigError(f"split: a {what} is in {where[fact]} and in {name}")


def _given(clips: Clips, groups: NDArray[np.int64]) -> dict[int, int]:
    given: dict[int, int] = {}
    for index, name in enumerate(clips.splits):
        if name and given.setdefault(int(groups[index]), PARTS.index(name)) != PARTS.index(name):
            other = PARTS[given[int(groups[index])]]
            raise ConfigError(f"split: a patient, twin or picture is given to {other} and to {name}")
    return given


def _names(clips: Clips, groups: NDArray[np.int64]) -> list[str]:
    """A name per group that does not depend on the order of clips."""
    names = [""] * (int(groups.max()) + 1)
    for patient, group in zip(clips.patients, groups, strict=True):
        names[group] = min(names[group] or patient, patient)
    return names


def _counts(clips: Clips, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each group brings [groups, features]: patients, clips, clips by label, clips by kind within a label."""
    strata = [f"{int(label)}/{kind}" for label, kind in zip(clips.labels, clips.kinds, strict=True)]
    names = sorted(set(strata))
    columns = np.zeros((len(strata), 2 + len(names)))
    columns[np.arange(len(strata)), clips.labels.astype(int)] = 1.0
    columns[np.arange(len(strata)), [2 + names.index(one) for one in strata]] = 1.0
    summed = np.zeros((int(groups.max()) + 1, columns.shape[1]))
    np.add.at(summed, groups, columns)
    pairs = set(zip(clips.patients, groups.tolist(), strict=True))
    patients = np.bincount([group for _, group in pairs], minlength=len(summed)).astype(np.float64)
    return np.column_stack([patients, summed[:, :2].sum(axis=1), summed])


def _share_out(
    counts: NDArray[np.float64], given: dict[int, int], names: Sequence[str], seed: int, wanted: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The part of each group: the rare and large first, each to the part that is relatively emptiest in what it brings."""
    if len(counts) < len(SHARES):
        raise ConfigError(f"split: {len(counts)} independent patients cannot be shared over {', '.join(PARTS)}")
    # By name and then by the seed, so that the order of clips decides nothing.
    by_name = np.array(sorted(range(len(counts)), key=lambda group: names[group]))
    order = by_name[np.random.default_rng(seed).permutation(len(counts))]
    relative = (counts / counts.sum(axis=0))[order]
    part = np.array([given.get(int(group), -1) for group in order])
    free = part < 0
    filled = np.stack([relative[part == place].sum(axis=0) for place in range(len(SHARES))])
    shares = wanted[:, None]
    for row in np.argsort(-relative.max(axis=1), kind="stable"):
        if free[row]:
            after = (filled + relative[row]) / shares
            part[row] = int(np.argmin((after * relative[row]).sum(axis=1)))
            filled[part[row]] += relative[row]
    _exchange(relative, part, free, filled, shares)
    found = np.empty_like(part)
    found[order] = part
    return found


def _exchange(
    relative: NDArray[np.float64],
    part: NDArray[np.int64],
    free: NDArray[np.bool_],
    filled: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> None:
    """Let groups change places, or move, as long as the parts come nearer to their shares; `part` and `filled` change."""
    parts = len(shares)
    # Nobody, in every part: changing places with it is moving.
    rows = np.concatenate([relative, np.zeros((parts, relative.shape[1]))])
    where = np.concatenate([part, np.arange(parts)])
    open_ = np.concatenate([free, np.ones(parts, bool)])
    for _ in range(_PASSES):
        moved = False
        for row in np.flatnonzero(free):
            mine, gain = where[row], rows - rows[row]
            here = ((filled[mine] + gain - shares[mine]) ** 2).sum(axis=1) / shares[mine, 0]
            there = ((filled[where] - gain - shares[where]) ** 2).sum(axis=1) / shares[where, 0]
            now = ((filled - shares) ** 2).sum(axis=1) / shares[:, 0]
            change = here + there - now[mine] - now[where]
            change[(where == mine) | ~open_] = 0.0
            other = int(np.argmin(change))
            if change[other] < -_WORTH:
                filled[mine] += gain[other]
                filled[where[other]] -= gain[other]
                if other < len(part):
                    where[row], where[other] = where[other], mine
                else:
                    where[row] = where[other]
                moved = True
        if not moved:
            break
    part[:] = where[: len(part)]


def digest(clips: Clips, indices: Sequence[int]) -> str:
    """Hex SHA-256 of one part: which clips of which patients it holds, by their ids and pixels, and how they are labelled."""
    pixels = clips.pixels or ("",) * len(clips.labels)
    lines = "\n".join(f"{i} {clips.name(i)} {clips.patients[i]} {clips.labels[i]:g} {pixels[i]}" for i in indices)
    return hashlib.sha256(lines.encode()).hexdigest()
