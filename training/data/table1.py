"""The paper's Table 1 of a cohort, from headers: clips, exams, patients, age and sex by label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from training.data.headers import Person
from training.data.manifest import Entry, Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One label's column. Age is the mean and standard deviation over patients in years; null where no header tells."""

    clips: int
    exams: int
    patients: int
    age_mean_years: float | None
    age_sd_years: float | None
    male_percent: float | None


def table(entries: Sequence[Entry], persons: Sequence[Person]) -> dict[str, object]:
    """Both columns; `patients_of_both` counts those with a clip of either label, who are in both columns, as in the paper."""
    found: dict[str, object] = {}
    owners = {}
    for label in Label:
        mine = [(e, p) for e, p in zip(entries, persons, strict=True) if e.label is label]
        owners[label] = {entry.patient for entry, _ in mine}
        found[label.value] = asdict(_column(mine))
    found["patients_of_both"] = len(owners[Label.SATISFACTORY] & owners[Label.UNSATISFACTORY])
    found["exams"] = len({person.study for person in persons})
    return found


def _column(mine: Sequence[tuple[Entry, Person]]) -> Column:
    patients = {entry.patient: person for entry, person in mine}
    ages = np.array([p.age_years for p in patients.values() if p.age_years is not None])
    sexes = [p.sex for p in patients.values() if p.sex is not None]
    return Column(
        clips=len(mine),
        exams=len({person.study for _, person in mine}),
        patients=len(patients),
        age_mean_years=round(float(ages.mean()), 1) if len(ages) else None,
        age_sd_years=round(float(ages.std(ddof=1)), 1) if len(ages) > 1 else None,
        male_percent=round(100.0 * sexes.count("M") / len(sexes), 1) if sexes else None,
    )
