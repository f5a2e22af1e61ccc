"""The paper's Table 1 of a cohort, from headers: clips, exams, patients, age and sex by label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from training.data.headers import Person
from training.data.manifest import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One label's column. Age is the mean and standard deviation over patients in years; null where no header tells."""

    clips: int
    exams: int
    patients: int
    age_mean_years: float | None
    age_sd_years: float | None
    male_percent: float | None


def table(labels: Sequence[Label], patients: Sequence[str], persons: Sequence[Person]) -> dict[str, object]:
    """Both columns; `patients_of_both` counts those with a clip of either label, who are in both columns, as in the paper.

    `patients` says who a clip is of, which a manifest may know better than the header that `persons` are from.
    """
    found: dict[str, object] = {}
    owners = {}
    for label in Label:
        mine = [(who, p) for told, who, p in zip(labels, patients, persons, strict=True) if told is label]
        owners[label] = {who for who, _ in mine}
        found[label.value] = asdict(_column(mine))
    found["patients_of_both"] = len(owners[Label.SATISFACTORY] & owners[Label.UNSATISFACTORY])
    found["exams"] = len({person.study for person in persons})
    return found


def _column(mine: Sequence[tuple[str, Person]]) -> Column:
    patients = dict(mine)
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
