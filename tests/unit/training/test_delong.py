import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training import delong


def _kernel(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Every pair of a positive and a negative: 1 in order, a half when tied."""
    gap = scores[labels > 0][:, None] - scores[labels == 0][None, :]
    return (gap > 0) + 0.5 * (gap == 0)


@pytest.fixture
def data() -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = (rng.random(120) < 0.35).astype(float)
    one = np.round(labels + rng.normal(size=120), 1)
    return labels, [one, np.round(0.5 * one + rng.normal(size=120), 1)]


def test_plain_is_the_covariance_of_structural_components(data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    labels, scores = data
    found = delong.plain(labels, scores)
    kernels = [_kernel(labels, s) for s in scores]
    rows, columns = np.cov([k.mean(axis=1) for k in kernels]), np.cov([k.mean(axis=0) for k in kernels])
    assert found.covariance == pytest.approx(rows / kernels[0].shape[0] + columns / kernels[0].shape[1])
    assert found.auc == pytest.approx([roc_auc_score(labels, s) for s in scores])


def test_clustered_is_obuchowskis_sum_written_out(data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    labels, scores = data
    patients = [str(i // 4) for i in range(len(labels))]
    found = delong.clustered(labels, scores, patients)
    m, n = int(labels.sum()), int((labels == 0).sum())
    owners = sorted(set(patients))
    owner_of_x = np.array(patients)[labels > 0]
    owner_of_y = np.array(patients)[labels == 0]
    x, y = [], []
    for s in scores:
        kernel = _kernel(labels, s)
        area = kernel.mean()
        x.append([sum(kernel[j].mean() - area for j in np.flatnonzero(owner_of_x == o)) for o in owners])
        y.append([sum(kernel[:, k].mean() - area for k in np.flatnonzero(owner_of_y == o)) for o in owners])
    i10, i01, i = len(set(owner_of_x)), len(set(owner_of_y)), len(owners)
    for r in range(2):
        for s in range(2):
            s10 = i10 / ((i10 - 1) * m) * np.dot(x[r], x[s])
            s01 = i01 / ((i01 - 1) * n) * np.dot(y[r], y[s])
            s11 = i / (i - 1) * (np.dot(x[r], y[s]) + np.dot(x[s], y[r]))
            assert found.covariance[r, s] == pytest.approx(s10 / m + s01 / n + s11 / (m * n))


def test_one_clip_per_patient_is_delongs_own_and_repeats_are_seen_through(data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    labels, scores = data
    single = delong.plain(labels, scores)
    fourfold = [np.repeat(s, 4) for s in scores]
    repeated = delong.clustered(np.repeat(labels, 4), fourfold, [str(i) for i in np.repeat(range(len(labels)), 4)])
    assert repeated.covariance == pytest.approx(single.covariance)
    fooled = delong.plain(np.repeat(labels, 4), fourfold)
    assert fooled.standard_error(0) < 0.6 * single.standard_error(0)


def test_p_is_small_for_a_model_that_is_plainly_better_and_one_for_itself(data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    labels, scores = data
    areas = delong.plain(labels, [*scores, scores[0], labels])
    assert areas.p_value(0, 2) == 1.0
    assert areas.p_value(0, 3) < 1e-4
    assert 0 < areas.p_value(0, 1) < 1


def test_p_values_are_uniform_where_two_models_are_equally_good() -> None:
    rng = np.random.default_rng(8)
    low = 0
    for _ in range(300):
        owner = np.repeat(np.arange(40), 4)
        labels = (rng.random(160) < 0.4).astype(float)
        shared = labels + 0.7 * rng.normal(size=40)[owner]
        pair = [shared + rng.normal(size=40)[owner] * 0.6 + 0.3 * rng.normal(size=160) for _ in range(2)]
        low += delong.clustered(labels, pair, [str(o) for o in owner]).p_value(0, 1) < 0.05
    assert 5 <= low <= 30
