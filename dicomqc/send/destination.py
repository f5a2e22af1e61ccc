"""One destination's sender: claim a series, send it, write down what became of each delivery (I5, I9, I10).

While the peer cannot be had, one delivery at a time is risked on it, ever more rarely; the others keep their attempts.
"""

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from dicomqc import crashpoints
from dicomqc.core.delivery import HOPELESS_FAILURES, Attempt, ClaimedDelivery, SendFailure
from dicomqc.core.errors import LeaseLost, Unavailable
from dicomqc.core.lifecycle import DeliveryState
from dicomqc.core.options import Destination, SendOptions
from dicomqc.core.retry import Decision, Deliver, GiveUp, Retry, after_attempt, backoff_seconds
from dicomqc.ledger import deliveries
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.keeper import LeaseKeeper
from dicomqc.send.scu import Watch, send_series

log = structlog.get_logger()

IDLE_SECONDS = 0.5
LEASE_SECONDS = 60.0
CLAIM_LIMIT = 256
MAX_PAUSE_SECONDS = 60.0
STOP_GRACE_SECONDS = 7.0
_STATES = {Deliver: DeliveryState.DELIVERED, Retry: DeliveryState.PENDING, GiveUp: DeliveryState.UNDELIVERABLE}


class DestinationSender:
    """The sender of one destination; `step` is called again and again from one thread."""

    def __init__(
        self,
        ledger: Ledger,
        options: SendOptions,
        destination: Destination,
        spool_root: Path,
        stop: threading.Event,
        owner: str,
    ) -> None:
        self._ledger = ledger
        self._options = options
        self._destination = destination
        self._spool_root = spool_root
        self._stop = stop
        self._owner = owner
        self._failures = 0
        self._resume_at = 0.0
        self._stop_seen_at: float | None = None

    def step(self) -> float:
        """Send what is due of one series; returns the seconds to wait before the next step. Raises Unavailable."""
        pause = self._resume_at - time.monotonic()
        if pause > 0:
            return min(pause, IDLE_SECONDS)
        name = self._destination.name
        claimed = deliveries.claim(
            self._ledger, owner=self._owner, destination=name, limit=CLAIM_LIMIT, lease_seconds=LEASE_SECONDS
        )
        if not claimed:
            return IDLE_SECONDS
        crashpoints.reach("send.after_claim", claimed[0].instance.digest)
        if self._send(claimed):
            self._failures = 0
            return 0.0
        self._failures += 1
        wait = backoff_seconds(self._failures, first_seconds=self._options.retry.first_seconds, jitter=_jitter())
        self._resume_at = time.monotonic() + min(wait, MAX_PAUSE_SECONDS)
        log.warning("destination_paused", destination=name, attempts=self._failures, seconds=round(wait, 3))
        return 0.0

    def _send(self, claimed: Sequence[ClaimedDelivery]) -> bool:
        left = {d.token: d for d in claimed}

        def conclude(delivery: ClaimedDelivery, attempt: Attempt) -> None:
            del left[delivery.token]
            self._conclude(delivery, attempt, keeper)

        renew = partial(deliveries.renew, self._ledger, lease_seconds=LEASE_SECONDS)
        with LeaseKeeper(renew, lease_seconds=LEASE_SECONDS) as keeper:
            keeper.hold(left.keys())
            watch = Watch(may_begin=lambda d: not self._stop.is_set() and keeper.holds(d.token), cancelled=self._out_of_grace)
            try:
                return send_series(
                    self._destination,
                    claimed,
                    self._spool_root,
                    conclude,
                    calling_ae=self._options.calling_ae,
                    timeout_seconds=self._options.network_timeout_seconds,
                    watch=watch,
                )
            except Unavailable:
                raise
            except BaseException:
                # Whatever broke us was in flight; uncharged it would come back at once and break us for ever.
                if left:
                    conclude(next(iter(left.values())), Attempt(failure=SendFailure.UNEXPECTED))
                raise
            finally:
                deliveries.release(self._ledger, list(left))

    def _conclude(self, delivery: ClaimedDelivery, attempt: Attempt, keeper: LeaseKeeper) -> None:
        crashpoints.reach("send.after_response", delivery.instance.digest)
        decision = after_attempt(
            attempt,
            attempts=delivery.attempts,
            seconds_since_asked=delivery.seconds_since_asked,
            options=self._options.retry,
            jitter=_jitter(),
        )
        while True:
            try:
                self._commit(delivery, attempt, decision)
            except LeaseLost:
                log.warning("lease_lost", delivery=delivery.id, destination=delivery.destination)
            except Unavailable:
                # The peer's answer is worth waiting for the ledger; without it the object goes out a second time (I10).
                if self._stop.is_set() or not keeper.holds(delivery.token):
                    raise
                self._stop.wait(IDLE_SECONDS)
                continue
            break
        crashpoints.reach("send.after_commit", delivery.instance.digest)

    def _commit(self, delivery: ClaimedDelivery, attempt: Attempt, decision: Decision) -> None:
        if attempt.failure in HOPELESS_FAILURES:
            # Before the delivery ends: a crash in between finds the same damage again instead of forgetting it.
            deliveries.quarantine_instance(self._ledger, delivery.instance.id, reason=attempt.failure.value)
        match decision:
            case Deliver():
                deliveries.accept(self._ledger, delivery.token, status=decision.status)
            case Retry():
                deliveries.put_back(
                    self._ledger,
                    delivery.token,
                    delay_seconds=decision.delay_seconds,
                    reason=decision.reason,
                    status=attempt.status,
                )
            case GiveUp():
                deliveries.give_up(self._ledger, delivery.token, reason=decision.reason, status=attempt.status)
        log.info(
            "delivery_attempted",
            delivery=delivery.id,
            instance=delivery.instance.id,
            destination=delivery.destination,
            state=_STATES[type(decision)].value,
            reason=None if isinstance(decision, Deliver) else decision.reason,
            status=None if attempt.status is None else f"{attempt.status:04X}",
            attempts=delivery.attempts,
            bytes=delivery.instance.size_bytes,
        )

    def _out_of_grace(self) -> bool:
        if not self._stop.is_set():
            return False
        if self._stop_seen_at is None:
            self._stop_seen_at = time.monotonic()
        return time.monotonic() - self._stop_seen_at > STOP_GRACE_SECONDS


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing
