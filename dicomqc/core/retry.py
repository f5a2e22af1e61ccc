"""What to do after a failure, as a value: pure functions, the only readers of the error classes."""

from dataclasses import dataclass

from dicomqc.core.delivery import HOPELESS_FAILURES, PERMANENT_FAILURES, Attempt, Fate, SendFailure, fate_of_status
from dicomqc.core.options import RetryOptions

PERMANENT_ATTEMPTS = 3
MAX_BACKOFF_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Deliver:
    """The peer has it; `status` is kept."""

    status: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_seconds`."""

    delay_seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt; a person may requeue it."""

    reason: str


Decision = Deliver | Retry | GiveUp


def backoff_seconds(attempts: int, *, first_seconds: float, jitter: float) -> float:
    """Exponential back-off: `first_seconds` · 2^(attempts−1), at most an hour, times 0.75…1.25 by `jitter` in 0..1."""
    return min(first_seconds * 2.0 ** min(max(attempts - 1, 0), 40), MAX_BACKOFF_SECONDS) * (0.75 + 0.5 * jitter)


def after_scoring_failure(*, attempts: int, max_attempts: int, alone: bool, reason: str, jitter: float) -> Retry | GiveUp:
    """Quarantine only a lone claim that has used up its attempts (I6); everything else goes back to the queue."""
    if alone and attempts >= max_attempts:
        return GiveUp(reason)
    return Retry(backoff_seconds(attempts, first_seconds=0.5, jitter=jitter), reason)


def after_attempt(
    attempt: Attempt, *, attempts: int, seconds_since_asked: float, options: RetryOptions, jitter: float
) -> Decision:
    """What becomes of a delivery after its `attempts`-th attempt, by the architecture's status table."""
    if attempt.status is not None:
        fate = fate_of_status(attempt.status)
        if fate is Fate.DELIVERED:
            return Deliver(attempt.status)
        reason, permanent = SendFailure.PEER_STATUS.value, fate is Fate.PERMANENT
    else:
        failure = attempt.failure or SendFailure.UNEXPECTED
        if failure in HOPELESS_FAILURES:
            return GiveUp(failure.value)
        reason, permanent = failure.value, failure in PERMANENT_FAILURES
    if (permanent and attempts >= PERMANENT_ATTEMPTS) or seconds_since_asked >= options.max_hours * 3600.0:
        return GiveUp(reason)
    return Retry(backoff_seconds(attempts, first_seconds=options.first_seconds, jitter=jitter), reason)
