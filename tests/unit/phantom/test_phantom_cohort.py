from dataclasses import replace

import numpy as np

from dicomqc.core.identifiers import is_valid_uid
from dicomqc.phantom import cohort
from dicomqc.phantom.plan import UNSATISFACTORY, Kind

_DRAWN_WITHOUT_THE_LABEL = {"kind": Kind.CORONARY}


def test_the_same_seed_gives_the_same_plan_and_more_patients_only_add() -> None:
    few, many = cohort.plan(7, 5), cohort.plan(7, 12)
    assert few == many[: len(few)]
    assert cohort.plan(8, 5) != few


def test_nuisances_do_not_depend_on_the_label() -> None:
    good = cohort.plan(11, 40, unsatisfactory=0.0)
    bad = cohort.plan(11, 40, unsatisfactory=1.0)
    assert all(p.satisfactory for p in good)
    assert not any(p.satisfactory for p in bad)
    assert good == tuple(replace(p, **_DRAWN_WITHOUT_THE_LABEL) for p in bad)


def test_every_unsatisfactory_kind_occurs_and_has_a_reason() -> None:
    kinds = {p.kind: p.reason for p in cohort.plan(3, 60, unsatisfactory=1.0)}
    assert set(kinds) == set(UNSATISFACTORY)
    assert all(kinds.values())


def test_identifiers_are_valid_and_no_two_cohorts_share_one() -> None:
    plans = (*cohort.plan(1, 30), *cohort.plan(2, 30))
    uids = [p.sop_instance_uid for p in plans]
    assert len(set(uids)) == len(uids)
    assert all(is_valid_uid(u) for p in plans for u in (p.sop_instance_uid, p.series_instance_uid, p.study_instance_uid))
    assert not {p.patient_id for p in cohort.plan(1, 30)} & {p.patient_id for p in cohort.plan(2, 30)}


def test_a_study_has_one_patient_and_series_are_numbered_without_gaps() -> None:
    plans = cohort.plan(5, 40)
    shared = 0
    for patient in range(40):
        cines = [p for p in plans if p.patient == patient]
        assert len({p.study_instance_uid for p in cines}) == 1
        assert sorted({p.series_number for p in cines}) == list(range(1, len({p.series_instance_uid for p in cines}) + 1))
        places = [(p.series_number, p.instance_number) for p in cines]
        assert len(set(places)) == len(places)
        shared += len(places) > len({series for series, _ in places})
    assert shared > 0


def test_ineligible_runs_are_short_or_of_another_frame_rate() -> None:
    assert all(p.eligible for p in cohort.plan(9, 40))
    refused = [p for p in cohort.plan(9, 40, ineligible=1.0) if not p.eligible]
    assert len(refused) == len(cohort.plan(9, 40))
    assert {p.frame_rate_hz for p in refused} >= {7.5, 30.0}
    assert any(p.frames < 47 for p in refused)


def test_random_streams_of_a_cine_differ() -> None:
    plan = cohort.plan(1, 1)[0]
    draws = [cohort.generator(plan.seed, plan.patient, plan.cine, stream).random() for stream in range(8)]
    assert len(np.unique(draws)) == 8
