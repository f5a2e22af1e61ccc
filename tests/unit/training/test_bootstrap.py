import numpy as np
import pytest

from training import bootstrap, metrics


def _clustered(rng: np.random.Generator, patients: int, clips: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Binormal scores with a random effect of the patient."""
    owner = np.repeat(np.arange(patients), clips)
    labels = (rng.random(len(owner)) < 0.4).astype(float)
    scores = 1.2 * labels + 0.8 * rng.normal(size=patients)[owner] + 0.6 * rng.normal(size=len(owner))
    return labels, scores, [str(p) for p in owner]


def test_a_round_is_the_auc_of_the_drawn_patients_clips() -> None:
    rng = np.random.default_rng(0)
    labels, scores, patients = _clustered(rng, 12, 4)
    scores = np.round(scores, 1)
    draws = bootstrap.draw(patients, seed=5, rounds=7)
    found = bootstrap.auc_rounds(draws, labels, scores)
    for weights, value in zip(draws.weights, found, strict=True):
        repeated = np.repeat(np.arange(len(labels)), weights[draws.owner])
        assert value == pytest.approx(metrics.auc(labels[repeated], scores[repeated]))


def test_every_round_draws_as_many_patients_as_there_are_and_follows_from_the_seed() -> None:
    draws = bootstrap.draw(list("aabbbc"), seed=1, rounds=50)
    assert (draws.weights.sum(axis=1) == 3).all()
    assert np.array_equal(draws.weights, bootstrap.draw(list("aabbbc"), seed=1, rounds=50).weights)
    assert not np.array_equal(draws.weights, bootstrap.draw(list("aabbbc"), seed=2, rounds=50).weights)


def test_the_interval_covers_the_truth_about_95_times_in_100_when_clips_cluster() -> None:
    rng = np.random.default_rng(11)
    labels, scores, _ = _clustered(rng, 40_000, 5)
    truth = metrics.auc(labels, scores)
    covered = blind = 0
    for repeat in range(200):
        labels, scores, patients = _clustered(rng, 50, 5)
        low, high = metrics.auc_interval(labels, scores, patients, seed=repeat, rounds=200)
        covered += low <= truth <= high
        low, high = metrics.auc_interval(labels, scores, [str(i) for i in range(len(labels))], seed=repeat, rounds=200)
        blind += low <= truth <= high
    assert 182 <= covered <= 199
    assert blind < covered


def test_equal_models_do_not_differ_and_a_better_one_does() -> None:
    rng = np.random.default_rng(2)
    labels, scores, patients = _clustered(rng, 80, 5)
    draws = bootstrap.draw(patients, seed=0, rounds=400)
    same = bootstrap.auc_difference(draws, labels, scores, 2.0 * scores + 1.0)
    assert (same.value, same.p, same.covers_zero) == (0.0, 1.0, True)
    noise = scores + rng.normal(0, 2.0, len(scores))
    better = bootstrap.auc_difference(draws, labels, scores, noise)
    assert better.value > 0
    assert not better.covers_zero
    assert better.p < 0.02
    # Pairing pays: both models see the same patients.
    apart = bootstrap.auc_rounds(draws, labels, scores)[::-1] - bootstrap.auc_rounds(draws, labels, noise)
    assert better.high - better.low < np.ptp(np.percentile(apart, [2.5, 97.5]))


def test_holm_steps_down_and_never_below_an_earlier_p() -> None:
    assert bootstrap.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert bootstrap.holm([0.9, 0.8]) == [1.0, 1.0]
    assert bootstrap.holm([]) == []


def test_twenty_thousand_clips_take_the_same_path_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores, patients = _clustered(np.random.default_rng(4), 30, 4)
    draws = bootstrap.draw(patients, seed=0, rounds=10)
    whole = bootstrap.auc_rounds(draws, labels, scores)
    monkeypatch.setattr(bootstrap, "_CHUNK", 3 * len(labels))
    assert np.array_equal(bootstrap.auc_rounds(draws, labels, scores), whole)
