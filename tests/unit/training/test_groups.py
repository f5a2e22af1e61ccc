import json

import numpy as np
import pytest

from training import groups, metrics

_RNG = np.random.default_rng(0)
_LABELS = (_RNG.random(120) < 0.4).astype(float)
_GRADED = [bool(n % 3 == 0) for n in range(120)]
_PATIENTS = [f"p{n // 4}" for n in range(120)]
# Clear clips are told apart, graded ones are not.
_SCORES = np.where(_GRADED, _RNG.random(120), 0.2 + 0.6 * _LABELS + 0.1 * _RNG.random(120))


def test_clear_and_graded_clips_are_reported_apart_with_intervals() -> None:
    found = groups.bands(_LABELS, _SCORES, _PATIENTS, _GRADED, 0.5, seed=0)
    assert found["clear"]["clips"] + found["graded"]["clips"] == 120
    assert found["graded"]["clips"] == 40
    assert found["clear"]["auc"] == found["clear"]["accuracy"] == 1.0
    band = np.array(_GRADED)
    assert found["graded"]["auc"] == pytest.approx(metrics.auc(_LABELS[band], _SCORES[band]))
    low, high = found["graded"]["intervals"]["auc"]
    assert 0.2 < low < found["graded"]["auc"] < high < 0.9


def test_without_a_graded_clip_there_are_no_bands_and_without_vendors_none_is_named() -> None:
    assert groups.bands(_LABELS, _SCORES, _PATIENTS, [False] * 120, 0.5, seed=0) == {}
    assert groups.by_vendor(_LABELS, _SCORES, _PATIENTS, [""] * 120, seed=0) == {}


def test_the_auc_of_each_vendor_is_of_its_clips_alone() -> None:
    vendors = ["1" if graded else "0" for graded in _GRADED]
    found = groups.by_vendor(_LABELS, _SCORES, _PATIENTS, vendors, seed=0)
    assert list(found) == ["0", "1"]
    assert found["0"]["auc"] == found["0"]["auc_low"] == 1.0
    assert found["1"]["auc_low"] < found["1"]["auc"] < 0.8
    assert sum(one["clips"] for one in found.values()) == 120


def test_a_group_of_one_label_has_no_auc_and_json_can_say_so() -> None:
    labels = np.where(_GRADED, 1.0, _LABELS)
    found = groups.bands(labels, _SCORES, _PATIENTS, _GRADED, 0.5, seed=0)
    assert found["graded"]["auc"] is None
    assert json.loads(json.dumps(found, allow_nan=False))["graded"]["intervals"]["auc"] == [None, None]
