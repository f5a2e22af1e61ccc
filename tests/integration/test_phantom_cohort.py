from collections import Counter
from dataclasses import replace

import pytest
from pydicom import Dataset
from sklearn.metrics import roc_auc_score

from dicomqc.core.identifiers import is_valid_uid
from dicomqc.phantom import cohort, dicom, presets
from dicomqc.phantom.cohort import Wish
from dicomqc.phantom.plan import CRITERIA, SYNTAXES, TWIN_CAUSES, UNSATISFACTORY, CinePlan, Kind

_OF_ITS_OWN = ("cine", "kind", "study", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "series_number")


def test_the_same_seed_gives_the_same_plan_and_more_patients_only_add() -> None:
    few, many = cohort.plan(7, 5), cohort.plan(7, 12)
    assert few == many[: len(few)]
    assert cohort.plan(8, 5) != few
    assert cohort.balanced(7, 9)[-3:] == cohort.balanced(7, 4, first_patient=5)[-3:]


def test_nuisances_do_not_depend_on_the_label() -> None:
    good = cohort.plan(11, 40, unsatisfactory=0.0)
    bad = cohort.plan(11, 40, unsatisfactory=1.0)
    assert {p.kind for p in good} == {Kind.CORONARY}
    assert Kind.CORONARY not in {p.kind for p in bad}
    assert good == tuple(replace(p, kind=Kind.CORONARY) for p in bad)


def test_every_unsatisfactory_kind_occurs_and_falls_under_one_of_the_papers_criteria() -> None:
    kinds = {p.kind: p for p in cohort.plan(3, 60, unsatisfactory=1.0)}
    assert set(kinds) == set(UNSATISFACTORY)
    assert {p.criterion for p in kinds.values()} == set(CRITERIA.values())


def test_identifiers_are_valid_and_no_two_cohorts_share_one() -> None:
    plans = (*cohort.plan(1, 30), *cohort.plan(2, 30), *cohort.balanced(3, 30))
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


def _pairs(plans: tuple[CinePlan, ...]) -> list[list[CinePlan]]:
    names = {p.twin for p in plans if p.twin}
    return [sorted((p for p in plans if p.twin == name), key=lambda p: p.kind is not Kind.CORONARY) for name in sorted(names)]


def test_a_third_of_a_training_cohort_are_twins_of_one_patient_that_differ_by_the_cause_alone() -> None:
    plans = cohort.balanced(5, 120)
    pairs = _pairs(plans)
    assert sum(map(len, pairs)) >= len(plans) / 3
    assert {bad.kind for _, bad in pairs} == set(TWIN_CAUSES)
    for good, bad in pairs:
        assert good.kind is Kind.CORONARY
        assert bad.kind is good.cause is bad.cause
        same = {name: getattr(good, name) for name in (*_OF_ITS_OWN, "instance_number")}
        assert replace(bad, **same) == good
        assert bad.sop_instance_uid != good.sop_instance_uid
    assert 0.35 < sum(good.cine < bad.cine for good, bad in pairs) / len(pairs) < 0.65


def test_a_training_cohort_is_balanced_and_mixes_syntaxes_rates_and_sides() -> None:
    plans = cohort.balanced(6, 300)
    assert 0.45 < sum(p.kind is Kind.CORONARY for p in plans) / len(plans) < 0.55
    assert {p.transfer_syntax_uid for p in plans} == set(SYNTAXES)
    assert {p.source_rate_hz for p in plans} == {7.5, 15.0, 30.0}
    assert {p.side for p in plans} == {"left", "right"}
    assert all(p.eligible for p in plans)


def test_drawing_anew_keeps_the_identity_and_the_pair() -> None:
    good, bad = cohort.lay_out(3, 4, [Wish(kind=Kind.CORONARY, cause=Kind.GRAFT, bad_study=1)])
    later = [cohort.again(p, 2) for p in (good, bad)]
    assert [p.sop_instance_uid for p in later] == [good.sop_instance_uid, bad.sop_instance_uid]
    assert later[0].draw == later[1].draw != good.draw
    assert later[0].mm_per_pixel == later[1].mm_per_pixel != good.mm_per_pixel
    assert [cohort.again(p, 0) for p in (good, bad)] == [good, bad]


def test_table_1_has_the_papers_clips_exams_and_patients() -> None:
    wishes = presets._table1(1)
    plans = [p for patient, wanted in enumerate(wishes) for p in cohort.lay_out(1, patient, wanted)]
    for good, clips, exams, patients in ((True, 857, 150, 135), (False, 180, 104, 96)):
        part = [p for p in plans if (p.kind is Kind.CORONARY) is good]
        assert (len(part), len({p.study_instance_uid for p in part}), len({p.patient for p in part})) == (
            clips,
            exams,
            patients,
        )
    assert len({p.study_instance_uid for p in plans}) == 254
    assert sum(bool(p.twin) for p in plans) > 60


def test_the_number_of_an_exam_in_table_1_says_nothing_of_its_label() -> None:
    plans = [p for patient, wanted in enumerate(presets._table1(1)) for p in cohort.lay_out(1, patient, wanted)]
    of_both = {p.patient for p in plans if p.kind is Kind.CORONARY} & {p.patient for p in plans if p.kind is not Kind.CORONARY}
    first = [p.kind is Kind.CORONARY for p in plans if p.patient in of_both and p.study == 0 and p.series_number == 1]
    assert len(first) > 25
    assert 0.25 < sum(first) / len(first) < 0.75
    assert {p.study for p in plans if p.kind is not Kind.CORONARY} <= {0, 1, 2, 3}


def test_the_time_in_table_1s_headers_hardly_tells_the_label_and_goes_by_series() -> None:
    plans = [p for patient, wanted in enumerate(presets._table1(1)) for p in cohort.lay_out(1, patient, wanted)]
    heads = [Dataset() for _ in plans]
    for head, plan in zip(heads, plans, strict=True):
        dicom.patient_and_study(head, plan)
    labels = [plan.kind is Kind.CORONARY for plan in plans]
    for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
        told = roc_auc_score(labels, [int(str(head.AcquisitionTime)[part]) for head in heads])
        assert 0.4 < told < 0.6
    in_order = sorted(zip(plans, heads, strict=True), key=lambda one: (one[0].series_number, one[0].instance_number))
    for study in {plan.study_instance_uid for plan in plans}:
        times = [str(head.AcquisitionTime) for plan, head in in_order if plan.study_instance_uid == study]
        assert times == sorted(set(times))


def test_the_small_cohort_has_twenty_eligible_cines_of_each_label_from_twelve_patients() -> None:
    wishes = presets._small(1)
    kinds = [p.kind for patient, wanted in enumerate(wishes) for p in cohort.lay_out(1, patient, wanted)]
    assert len(wishes) == 12
    assert Counter(kind is Kind.CORONARY for kind in kinds) == {True: 24, False: 24}
    assert not any(p.eligible for p in presets._ineligible(1, 12, [Kind.CORONARY] * 3))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 20), (0.5, 180)])
def test_ineligible_runs_come_after_a_cohort_up_to_their_share_and_change_none_of_its_own(share: float, expected: int) -> None:
    plans = cohort.plan(9, 60, unsatisfactory=0.5, cines=(3, 3))
    found = presets.with_ineligible(plans, share)
    added = found[len(plans) :]
    assert found[: len(plans)] == plans
    assert len(added) == expected
    assert not any(p.eligible for p in added)
    assert not {p.patient_id for p in added} & {p.patient_id for p in plans}
    assert len({(p.patient, p.cine) for p in added}) == expected
    assert expected < 100 or 0.35 < sum(p.kind is Kind.CORONARY for p in added) / expected < 0.65


def test_ineligible_runs_that_a_cohort_holds_count_towards_the_share() -> None:
    plans = cohort.plan(9, 60, ineligible=0.2, cines=(3, 3))
    own = sum(not p.eligible for p in plans)
    assert presets.with_ineligible(plans, 0.1) == plans
    found = presets.with_ineligible(plans, 0.4)
    assert sum(not p.eligible for p in found) == round((len(plans) - own) * 0.4 / 0.6) > own > 20


def test_the_independent_cohort_has_the_papers_prevalence() -> None:
    kinds = [wish.kind for wanted in presets._independent(1) for wish in wanted]
    assert 0.10 < sum(kind is not Kind.CORONARY for kind in kinds) / len(kinds) < 0.14


def test_settling_draws_anew_until_the_label_is_what_was_meant() -> None:
    from dicomqc.phantom import sight

    wanted = [
        p for patient in range(2) for p in cohort.lay_out(12, patient, [Wish(kind=Kind.CORONARY, cause=Kind.WEAK_FILLING)])
    ]
    found = presets.settled(wanted)
    assert [sight.judge(p).satisfactory for p in found] == [p.kind is Kind.CORONARY for p in wanted]
    assert len(found) == 4
    assert found == presets.settled(wanted, workers=2)
