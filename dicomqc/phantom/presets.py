"""Cohorts by name: the paper's Table 1, an independent one at its prevalence, and a small one to try things with.

Their labels are what they were meant to be: a cine whose label by sight comes out otherwise is drawn anew.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import Final

import cv2
import numpy as np

from dicomqc.phantom import cohort, sight
from dicomqc.phantom.cohort import Wish
from dicomqc.phantom.plan import NATIVE, TWIN_CAUSES, UNSATISFACTORY, CinePlan, Kind, generator

NAMES: Final = ("table1", "independent", "small")
_DRAWS: Final = 2_000_000  # a spawn key that no patient number reaches
_ATTEMPTS: Final = 25
# The paper's Table 1: clips, exams and patients of each label. It does not say how many patients have both.
_GOOD: Final = (857, 150, 135)
_BAD: Final = (180, 104, 96)
_BOTH: Final = 31
_PREVALENCE: Final = 0.12
_INDEPENDENT_PATIENTS: Final = 400
_SMALL_PATIENTS: Final = 12
_RUNS: Final = 3  # of a patient of ineligible ones


def planned(name: str, seed: int, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> tuple[CinePlan, ...]:
    """The cines of the preset `name` (one of NAMES), the same at any worker count.

    `progress` is called with (done, total) in cines as their labels are settled.
    """
    wishes = {"table1": _table1, "independent": _independent, "small": _small}[name](seed)
    plans = [one for patient, wanted in enumerate(wishes) for one in cohort.lay_out(seed, patient, wanted)]
    plans = settled(plans, workers, progress)
    return (*plans, *(_ineligible(seed, _SMALL_PATIENTS, [Kind.CORONARY] * _RUNS) if name == "small" else ()))


def with_ineligible(plans: Sequence[CinePlan], share: float) -> tuple[CinePlan, ...]:
    """`plans` and behind them further patients' short runs and runs of 7.5 or 30 fps, until such are `share` (below 1) of all.

    Those in `plans` count. Kinds are as frequent as in `plans`, and labels are what is seen: these runs are not drawn anew.
    """
    own = sum(not one.eligible for one in plans)
    more = round(share * (len(plans) - own) / (1.0 - share)) - own
    seed, first = plans[0].seed, 1 + max(one.patient for one in plans)
    rng = generator(seed, _DRAWS, 3)
    kinds = [plans[int(rng.integers(len(plans)))].kind for _ in range(more)]
    parts = [kinds[start : start + _RUNS] for start in range(0, more, _RUNS)]
    return (*plans, *(one for place, part in enumerate(parts) for one in _ineligible(seed, first + place, part)))


def settled(plans: Sequence[CinePlan], workers: int = 1, progress: Callable[[int, int], None] | None = None) -> list[CinePlan]:
    """`plans`, each drawn anew until its label by sight is the one that its kind means; twins are settled together."""
    groups = [tuple(group) for _, group in groupby(plans, lambda p: (p.patient, p.draw))]
    found: list[CinePlan] = []

    def note(group: tuple[CinePlan, ...]) -> None:
        found.extend(group)
        if progress:
            progress(len(found), len(plans))

    if workers <= 1:
        for group in groups:
            note(_settle(group))
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for group in pool.map(_settle, groups, chunksize=4):
                note(group)
    return found


def _settle(group: tuple[CinePlan, ...]) -> tuple[CinePlan, ...]:
    cv2.setNumThreads(1)
    for attempt in range(_ATTEMPTS):
        tried = tuple(cohort.again(one, attempt) for one in group)
        if all(one.kind not in NATIVE or sight.judge(one).satisfactory == (one.kind is Kind.CORONARY) for one in tried):
            return tried
    return group


def _shares(rng: np.random.Generator, total: int, parts: int) -> list[int]:
    """`total` clips spread over `parts` exams, at least one each."""
    return [1 + int(n) for n in rng.multinomial(total - parts, rng.dirichlet(np.full(parts, 4.0)))]


def _exams(patients: int, exams: int, first: int) -> list[tuple[int, int]]:
    """(patient, how many exams before it) of each exam: everyone has one, the first ones have a second."""
    return [(first + i % patients, i // patients) for i in range(exams)]


def _table1(seed: int) -> list[list[Wish]]:
    """150 exams with 857 satisfactory and 104 with 180 unsatisfactory clips; the patients who have both have twins."""
    rng = generator(seed, _DRAWS)
    start = _GOOD[2] - _BOTH
    wishes: list[list[Wish]] = [[] for _ in range(start + _BAD[2])]
    good = dict(zip(_exams(_GOOD[2], _GOOD[1], 0), _shares(rng, _GOOD[0], _GOOD[1]), strict=True))
    bad = dict(zip(_exams(_BAD[2], _BAD[1], start), _shares(rng, _BAD[0], _BAD[1]), strict=True))
    # Exams of the second label are others than those of the first, so that no exam has both, as in the paper's 254.
    for (patient, order), count in bad.items():
        study = 10 + order
        for _ in range(count):
            paired = good.get((patient, 0), 0) > 1
            if paired:
                good[patient, 0] -= 1
                cause = TWIN_CAUSES[int(rng.integers(len(TWIN_CAUSES)))]
                wishes[patient].append(Wish(kind=Kind.CORONARY, cause=cause, bad_study=study))
            else:
                wishes[patient].append(Wish(kind=UNSATISFACTORY[int(rng.integers(len(UNSATISFACTORY)))], study=study))
    for (patient, order), count in good.items():
        wishes[patient] += [Wish(kind=Kind.CORONARY, study=order)] * count
    return [_numbered(wanted, rng) for wanted in wishes]


def _numbered(wanted: Sequence[Wish], rng: np.random.Generator) -> list[Wish]:
    """The same with a patient's exams numbered from 0 in an order that says nothing of their label."""
    exams = sorted({wish.study for wish in wanted} | {wish.bad_study for wish in wanted if wish.bad_study is not None})
    number = dict(zip(exams, rng.permutation(len(exams)).tolist(), strict=True))
    return [
        replace(wish, study=number[wish.study], bad_study=None if wish.bad_study is None else number[wish.bad_study])
        for wish in wanted
    ]


def _independent(seed: int) -> list[list[Wish]]:
    """400 patients with 3 to 7 cines, of which 12 % are unsatisfactory, as in the paper's second data set; no twins."""
    rng = generator(seed, _DRAWS, 1)
    wishes = []
    for _ in range(_INDEPENDENT_PATIENTS):
        kinds = [UNSATISFACTORY[int(rng.integers(len(UNSATISFACTORY)))] for _ in range(int(rng.integers(3, 8)))]
        wishes.append([Wish(kind=k if rng.random() < _PREVALENCE else Kind.CORONARY) for k in kinds])
    return wishes


def _small(seed: int) -> list[list[Wish]]:
    """12 patients with 2 cines of each label, of which one pair is of twins; `_ineligible` adds some runs."""
    rng = generator(seed, _DRAWS, 2)
    wishes = []
    for _ in range(_SMALL_PATIENTS):
        cause = TWIN_CAUSES[int(rng.integers(len(TWIN_CAUSES)))]
        alone = UNSATISFACTORY[int(rng.integers(len(UNSATISFACTORY)))]
        wishes.append([Wish(kind=Kind.CORONARY, cause=cause), Wish(kind=Kind.CORONARY), Wish(kind=alone)])
    return wishes


def _ineligible(seed: int, patient: int, kinds: Sequence[Kind]) -> list[CinePlan]:
    """A patient of short runs and of other frame rates, whom the paper's rule leaves out."""
    return cohort.lay_out(seed, patient, [Wish(kind=kind) for kind in kinds], ineligible=1.0)
