"""What a precision does to verdicts: shifts, verdicts that change, and the threshold that changes the fewest."""

import numpy as np
import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.score.engine import RuntimeScorer
from dicomqc.score.recheck import compare
from tests.unit.score.test_score_engine import Scaled, clips


def scorer(shift: float) -> RuntimeScorer:
    runtime = Scaled(4.0)
    plain = runtime.logits
    runtime.logits = lambda frames: [x - 2.0 + shift for x in plain(frames)]
    return RuntimeScorer(runtime)


GREYS = clips(0, 60, 120, 130, 200, 255)


def test_equal_arithmetic_changes_nothing_and_keeps_the_threshold() -> None:
    found = compare(GREYS, scorer(0.0), scorer(0.0), threshold=0.5, files=9)
    assert (found.files, found.clips, found.shift_max, found.changed, found.suggested) == (9, 6, 0.0, 0, 0.5)


def test_a_shift_is_measured_and_the_threshold_moved_with_it() -> None:
    found = compare(GREYS, scorer(0.0), scorer(0.3), threshold=0.5, files=6)
    assert found.shift_median == pytest.approx(0.3)
    assert found.shift_max == pytest.approx(0.3)
    # The clip of grey 120 has the logit -0.118: only that one crosses.
    assert (found.changed, found.changed_there) == (1, 0)
    low, high = (float(scorer(0.3).score(GREYS[i : i + 1])[0].p_unsatisfactory) for i in (2, 3))
    assert low < found.suggested < high


def test_of_equal_thresholds_the_given_one_is_kept() -> None:
    assert compare(GREYS, scorer(0.0), scorer(0.01), threshold=0.5, files=6).suggested == 0.5


def test_what_no_threshold_mends_is_counted() -> None:
    reversed_order = RuntimeScorer(Scaled(-4.0))
    found = compare(clips(0, 255), scorer(0.0), reversed_order, threshold=0.5, files=2)
    assert found.changed_there > 0


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(ConfigError, match="eligible"):
        compare(np.empty((0, 2, 4, 4), np.uint8), scorer(0.0), scorer(0.0), threshold=0.5, files=3)


def test_a_threshold_beyond_every_probability_is_a_choice_too() -> None:
    # One clip that is satisfactory in fp32 and must stay so: only a threshold above its new probability keeps it.
    found = compare(clips(0), scorer(0.0), scorer(3.0), threshold=0.5, files=1)
    assert (found.changed, found.changed_there) == (1, 0)
    p = float(scorer(3.0).score(clips(0))[0].p_unsatisfactory)
    assert p < found.suggested < 1
    assert found.suggested == float(f"{found.suggested:.8g}")
