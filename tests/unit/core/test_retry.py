"""Back-off and giving up."""

import pytest

from dicomqc.core.delivery import HOPELESS_FAILURES, PERMANENT_FAILURES, Attempt, SendFailure
from dicomqc.core.options import RetryOptions
from dicomqc.core.retry import (
    MAX_BACKOFF_SECONDS,
    PERMANENT_ATTEMPTS,
    Deliver,
    GiveUp,
    Retry,
    after_attempt,
    after_scoring_failure,
    backoff_seconds,
)

OPTIONS = RetryOptions(first_seconds=5.0, max_hours=72.0)
TRANSIENT = sorted(set(SendFailure) - PERMANENT_FAILURES - HOPELESS_FAILURES)


def attempted(*, status: int | None = None, failure: SendFailure | None = None, attempts: int = 1, asked: float = 0.0):
    attempt = Attempt(status=status, failure=failure)
    return after_attempt(attempt, attempts=attempts, seconds_since_asked=asked, options=OPTIONS, jitter=0.5)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (10, 2560), (11, 3600), (5000, 3600)]
)
def test_back_off_doubles_up_to_an_hour(attempts: int, seconds: float) -> None:
    assert backoff_seconds(attempts, first_seconds=5.0, jitter=0.5) == seconds


@pytest.mark.parametrize("attempts", [1, 3, 8, 100])
def test_jitter_stays_within_a_quarter(attempts: int) -> None:
    middle = backoff_seconds(attempts, first_seconds=5.0, jitter=0.5)
    assert backoff_seconds(attempts, first_seconds=5.0, jitter=0.0) == pytest.approx(0.75 * middle)
    assert backoff_seconds(attempts, first_seconds=5.0, jitter=1.0) == pytest.approx(1.25 * middle)
    assert middle <= MAX_BACKOFF_SECONDS


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB007, 0x0111])
def test_i10_the_peers_own_status_delivers_and_is_kept(status: int) -> None:
    assert attempted(status=status, attempts=99, asked=1e9) == Deliver(status)


@pytest.mark.parametrize("attempts", [1, 3, 50])
def test_out_of_resources_is_tried_again_for_hours(attempts: int) -> None:
    decision = attempted(status=0xA700, attempts=attempts, asked=72 * 3600 - 1)
    assert isinstance(decision, Retry)
    assert decision.reason == "peer_status"


@pytest.mark.parametrize("failure", TRANSIENT)
def test_transient_failures_end_only_after_max_hours(failure: SendFailure) -> None:
    assert isinstance(attempted(failure=failure, attempts=1000, asked=72 * 3600 - 1), Retry)
    assert attempted(failure=failure, attempts=1, asked=72 * 3600) == GiveUp(failure.value)


@pytest.mark.parametrize("failure", sorted(PERMANENT_FAILURES))
def test_permanent_failures_end_after_few_attempts(failure: SendFailure) -> None:
    assert isinstance(attempted(failure=failure, attempts=PERMANENT_ATTEMPTS - 1), Retry)
    assert attempted(failure=failure, attempts=PERMANENT_ATTEMPTS) == GiveUp(failure.value)


@pytest.mark.parametrize("status", [0xA801, 0xA900, 0xC000, 0x0122, 0x0124])
def test_a_permanent_status_ends_after_few_attempts(status: int) -> None:
    assert isinstance(attempted(status=status, attempts=PERMANENT_ATTEMPTS - 1), Retry)
    assert attempted(status=status, attempts=PERMANENT_ATTEMPTS) == GiveUp("peer_status")


@pytest.mark.parametrize("failure", sorted(HOPELESS_FAILURES))
def test_i4_broken_bytes_are_given_up_at_once(failure: SendFailure) -> None:
    assert attempted(failure=failure) == GiveUp(failure.value)


def test_an_attempt_without_any_answer_is_unexpected_and_tried_again() -> None:
    decision = attempted()
    assert isinstance(decision, Retry)
    assert decision.reason == "unexpected"


@pytest.mark.parametrize(
    ("attempts", "alone", "gives_up"),
    [(1, True, False), (2, True, False), (3, True, True), (4, True, True), (3, False, False), (99, False, False)],
)
def test_i6_only_a_lone_claim_that_used_its_attempts_is_quarantined(attempts: int, alone: bool, gives_up: bool) -> None:
    decision = after_scoring_failure(attempts=attempts, max_attempts=3, alone=alone, reason="decoder_crashed", jitter=0.5)
    assert isinstance(decision, GiveUp) is gives_up
    assert decision.reason == "decoder_crashed"
