import math

import numpy as np
import pytest
from sklearn import metrics as judge

from training import metrics

_LABELS = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
_SCORES = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1, 0.1])
_FIGURE_3 = (1920, 531, 1966, 15971)


def _figure_3() -> metrics.Report:
    labels, scores = np.repeat([1.0, 1.0, 0.0, 0.0], _FIGURE_3), np.repeat([1.0, 0.0, 1.0, 0.0], _FIGURE_3)
    return metrics.report(labels, scores, [str(i % 2725) for i in range(len(labels))], 0.5, seed=0, rounds=20)


def test_auc_is_the_share_of_pairs_in_order_ties_half() -> None:
    pairs = [(1.0 if p > n else 0.5 if p == n else 0.0) for p in _SCORES[:3] for n in _SCORES[3:]]
    assert metrics.auc(_LABELS, _SCORES) == pytest.approx(np.mean(pairs))
    assert metrics.auc(_LABELS, np.ones(7)) == 0.5
    assert math.isnan(metrics.auc(np.ones(3), np.arange(3.0)))


def test_every_figure_agrees_with_scikit_learn_on_scores_with_ties() -> None:
    rng = np.random.default_rng(1)
    labels, scores = (rng.random(500) < 0.3).astype(float), np.round(rng.random(500), 2)
    report = metrics.report(labels, scores, [str(i) for i in range(500)], 0.4, seed=0, rounds=5)
    called = scores >= 0.4
    assert report.auc == pytest.approx(judge.roc_auc_score(labels, scores))
    assert report.accuracy == pytest.approx(judge.accuracy_score(labels, called))
    assert report.precision == pytest.approx(judge.precision_score(labels, called))
    assert report.sensitivity == pytest.approx(judge.recall_score(labels, called))
    assert report.f1 == pytest.approx(judge.f1_score(labels, called))


def test_counts_call_a_score_at_the_threshold_unsatisfactory() -> None:
    assert metrics.counts(_LABELS, _SCORES, 0.3) == (3, 0, 1, 3)
    assert metrics.counts(_LABELS, _SCORES, 0.31) == (2, 1, 1, 3)


def test_the_threshold_has_the_best_f1_and_lies_between_two_scores() -> None:
    threshold = metrics.best_threshold(_LABELS, _SCORES)
    assert threshold == pytest.approx(0.25)
    every = [metrics.report(_LABELS, _SCORES, list("abcdefg"), float(t), seed=0, rounds=2).f1 for t in np.unique(_SCORES)]
    assert metrics.report(_LABELS, _SCORES, list("abcdefg"), threshold, seed=0, rounds=2).f1 == max(every)


def test_the_steady_threshold_of_evenly_spread_scores_that_are_apart_lies_between() -> None:
    labels, scores = np.repeat([0.0, 1.0], 20), np.concatenate([np.linspace(0.01, 0.2, 20), np.linspace(0.7, 0.99, 20)])
    threshold = metrics.steady_threshold(labels, scores, [str(n) for n in range(40)], seed=1)
    assert 0.2 < threshold < 0.7
    assert threshold == metrics.steady_threshold(labels, scores, [str(n) for n in range(40)], seed=1)


def test_the_steady_threshold_differs_less_between_cohorts_than_the_single_best_and_lies_about_it() -> None:
    rng = np.random.default_rng(3)
    single, steady = [], []
    for _ in range(30):
        labels = np.repeat([0.0, 1.0], 60)
        scores = 1.0 / (1.0 + np.exp(-rng.normal(3.0 * labels - 1.5, 1.0)))
        patients = [str(n // 2) for n in range(120)]
        single.append(metrics.best_threshold(labels, scores))
        steady.append(metrics.steady_threshold(labels, scores, patients, seed=0, rounds=50))
    assert np.std(steady) < 0.8 * np.std(single)
    assert np.mean(steady) == pytest.approx(np.mean(single), abs=0.03)


def test_patients_drawn_with_clips_of_one_label_do_not_move_the_steady_threshold() -> None:
    labels, scores = np.array([0.0, 0.0, 1.0]), np.array([0.1, 0.3, 0.9])
    threshold = metrics.steady_threshold(labels, scores, ["a", "b", "c"], seed=0)
    assert 0.5 <= threshold <= 0.6  # drawn with "c", always between it and what was drawn beside it
    assert metrics.steady_threshold(np.zeros(3), scores, ["a", "b", "c"], seed=0) == pytest.approx(0.05)


@pytest.mark.parametrize(("specificity", "expected"), [(0.75, 0.25), (0.95, 0.6), (0.5, 0.15)])
def test_the_second_operating_point_is_the_lowest_that_keeps_the_specificity(specificity: float, expected: float) -> None:
    assert metrics.threshold_at_specificity(_LABELS, _SCORES, specificity) == pytest.approx(expected)


def test_a_specificity_that_no_score_gives_calls_nothing() -> None:
    threshold = metrics.threshold_at_specificity(np.array([0.0, 1.0]), np.array([0.9, 0.2]), 0.95)
    assert metrics.counts(np.array([0.0, 1.0]), np.array([0.9, 0.2]), threshold) == (0, 1, 0, 1)


def test_figure_3_gives_table_4s_row_and_the_discussions_percentages() -> None:
    report = _figure_3()
    found = [report.sensitivity, report.specificity, report.precision, report.accuracy, report.f1]
    assert [round(value, 3) for value in found] == [0.783, 0.890, 0.494, 0.878, 0.606]
    assert [f"{v:.2f}" for v in (report.accuracy, report.precision, report.sensitivity, report.specificity, report.f1)] == [
        *("0.88", "0.49", "0.78", "0.89", "0.61"),
    ]
    assert report.clips == 20388
    assert f"{100 * report.excluded:.1f}" == "19.1"
    assert f"{100 * report.unsatisfactory / report.clips:.1f}" == "12.0"
    assert f"{100 * report.kept_conform:.1f}" == "96.8"


def test_precision_at_the_cohorts_own_prevalence_is_its_precision() -> None:
    report = _figure_3()
    own = metrics.precision_at(report.sensitivity, report.specificity, report.unsatisfactory / report.clips)
    assert own == pytest.approx(report.precision)
    assert report.precision_at["0.12"] < report.precision_at["0.17"]
    assert math.isnan(metrics.precision_at(0.0, 1.0, 0.12))


def test_the_interval_holds_the_auc_and_widens_when_cines_cluster_in_patients() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(400) < 0.4).astype(float)
    scores = labels + rng.normal(0, 1.0, 400)
    alone = metrics.auc_interval(labels, scores, [str(i) for i in range(400)], seed=1, rounds=200)
    twins = metrics.auc_interval(np.tile(labels, 5), np.tile(scores, 5), [str(i) for i in range(400)] * 5, seed=1, rounds=200)
    blind = metrics.auc_interval(np.tile(labels, 5), np.tile(scores, 5), [str(i) for i in range(2000)], seed=1, rounds=200)
    assert alone[0] < metrics.auc(labels, scores) < alone[1]
    assert (blind[1] - blind[0]) < 0.7 * (twins[1] - twins[0])


def test_an_undefined_ratio_is_null_in_json() -> None:
    report = metrics.report(np.zeros(3), np.zeros(3), list("abc"), 0.5, seed=0, rounds=3).to_json()
    assert report["auc"] is None
    assert report["specificity"] == 1.0
    assert report["intervals"]["auc"] == [None, None]  # type: ignore[index]


def test_kinds_are_counted_and_bad_ones_ranked_against_every_satisfactory_clip() -> None:
    kinds = ["graft", "graft", "aorta", "coronary", "coronary", "device_beside", "device_beside"]
    found = metrics.by_kind(_LABELS, _SCORES, kinds, 0.35)
    assert found["graft"] == {"clips": 2, "called_unsatisfactory": 2, "right": 1.0, "auc": 1.0}
    assert found["aorta"]["right"] == 0.0
    assert found["aorta"]["auc"] == pytest.approx(0.75)
    assert found["coronary"]["right"] == 0.5
    assert math.isnan(found["coronary"]["auc"])
