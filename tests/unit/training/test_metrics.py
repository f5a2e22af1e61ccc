import math

import numpy as np
import pytest

from training import metrics

_LABELS = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
_SCORES = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1, 0.1])


def test_auc_is_the_share_of_pairs_in_order_ties_half() -> None:
    pairs = [(1.0 if p > n else 0.5 if p == n else 0.0) for p in _SCORES[:3] for n in _SCORES[3:]]
    assert metrics.auc(_LABELS, _SCORES) == pytest.approx(np.mean(pairs))
    assert metrics.auc(_LABELS, np.ones(7)) == 0.5
    assert math.isnan(metrics.auc(np.ones(3), np.arange(3.0)))


def test_counts_call_a_score_at_the_threshold_unsatisfactory() -> None:
    assert metrics.counts(_LABELS, _SCORES, 0.3) == (3, 0, 1, 3)
    assert metrics.counts(_LABELS, _SCORES, 0.31) == (2, 1, 1, 3)


def test_the_threshold_has_the_best_f1_and_lies_between_two_scores() -> None:
    threshold = metrics.best_threshold(_LABELS, _SCORES)
    assert threshold == pytest.approx(0.25)
    best = metrics.report(_LABELS, _SCORES, list("abcdefg"), threshold, seed=0).f1
    assert best == pytest.approx(6 / 7)


def test_the_report_agrees_with_the_paper_on_its_confusion_matrix() -> None:
    tp, fn, fp, tn = 1920, 531, 1966, 15971
    labels = np.repeat([1.0, 1.0, 0.0, 0.0], [tp, fn, fp, tn])
    scores = np.repeat([1.0, 0.0, 1.0, 0.0], [tp, fn, fp, tn])
    report = metrics.report(labels, scores, ["one"] * len(labels), 0.5, seed=0, rounds=2)
    found = (report.sensitivity, report.specificity, report.precision, report.accuracy, report.f1)
    assert [round(value, 3) for value in found] == [0.783, 0.890, 0.494, 0.878, 0.606]


def test_the_interval_holds_the_auc_and_widens_when_cines_cluster_in_patients() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(400) < 0.4).astype(float)
    scores = labels + rng.normal(0, 1.0, 400)
    alone = metrics.auc_interval(labels, scores, [str(i) for i in range(400)], seed=1, rounds=200)
    twins = metrics.auc_interval(np.tile(labels, 5), np.tile(scores, 5), [str(i) for i in range(400)] * 5, seed=1, rounds=200)
    blind = metrics.auc_interval(np.tile(labels, 5), np.tile(scores, 5), [str(i) for i in range(2000)], seed=1, rounds=200)
    assert alone[0] < metrics.auc(labels, scores) < alone[1]
    assert (blind[1] - blind[0]) < 0.7 * (twins[1] - twins[0])
