import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from training import calibration


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-honest))).astype(float)
    assert calibration.fit_temperature(labels, 3.0 * honest) == pytest.approx(3.0, rel=0.05)
    found = calibration.calibration(labels, 3.0 * honest, 3.0)
    assert found["ece_scaled"] < 0.02 < found["ece"]
    assert found["brier_scaled"] < found["brier"]


def test_separated_and_useless_logits_give_the_ends_of_the_range() -> None:
    labels = np.array([0.0, 0.0, 1.0, 1.0])
    assert calibration.fit_temperature(labels, np.array([-2.0, -1.0, 1.0, 2.0])) == pytest.approx(0.05)
    assert calibration.fit_temperature(labels, np.array([2.0, 1.0, -1.0, -2.0])) == pytest.approx(20.0)


def test_brier_is_scikit_learns_and_ece_the_weighted_gap_of_bins() -> None:
    rng = np.random.default_rng(1)
    labels, predicted = (rng.random(50) < 0.5).astype(float), rng.random(50)
    assert calibration.brier(labels, predicted) == pytest.approx(brier_score_loss(labels, predicted))
    expected = sum(
        abs(predicted[mask].mean() - labels[mask].mean()) * mask.mean()
        for k in range(15)
        if (mask := (predicted * 15).astype(int) == k).any()
    )
    assert calibration.expected_calibration_error(labels, predicted) == pytest.approx(expected)
    assert calibration.expected_calibration_error(np.ones(3), np.ones(3)) == 0.0


def test_a_probability_is_the_nodes_sigmoid_without_overflow() -> None:
    found = calibration.probabilities(np.array([-1e9, 0.0, 1e9]))
    assert found[1] == 0.5
    assert 0 < found[0] < 1e-20
    assert found[2] == 1.0
