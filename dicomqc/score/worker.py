"""The scoring worker: claim, decode, score, judge; every write that ends work carries its lease's token (I5, I6).

It may be killed at any instant: what it held is claimed again when its lease expires.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from dicomqc import crashpoints
from dicomqc.core import retry
from dicomqc.core.cine import Failure
from dicomqc.core.errors import LeaseLost, TransientError, Unavailable
from dicomqc.core.instance import ClaimedInstance
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Verdict
from dicomqc.ledger import leases, verdicts
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.keeper import LeaseKeeper
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import EngineLost, LoadedModel, open_scorer
from dicomqc.score.stream import Judged, Request, decoders_for, judge_all
from dicomqc.spool import layout

log = structlog.get_logger()

LEASE_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 0.25
_EXPIRE_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_MAX_PAUSE_SECONDS: Final = 30.0
# Another attempt reads the same bytes: these are for a person.
_HOPELESS: Final = frozenset({Failure.DIGEST_MISMATCH, Failure.FILE_MISSING})


def run_score(
    ledger: Ledger,
    options: ScoreOptions,
    spool_root: Path,
    stop: threading.Event,
    owner: str,
    ready: Callable[[], None] | None = None,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> None:
    """Score until `stop`: then the clip in the model is finished and the rest given back, within seconds.

    `ready` is called once model and decoder stand. Raises ConfigError, IntegrityError, TransientError
    at the start, later only EngineLost: then this process must be started anew.
    """
    loaded = open_scorer(options)
    with (
        Decoders(loaded.version.card.spec, short=options.short, count=decoders_for(loaded.scorer.device)) as decoders,
        LeaseKeeper(partial(leases.renew, ledger, lease_seconds=lease_seconds), lease_seconds=lease_seconds) as keeper,
    ):
        decoders.start()
        worker = Worker(
            ledger=ledger,
            options=options,
            spool_root=spool_root,
            owner=owner,
            lease_seconds=lease_seconds,
            loaded=loaded,
            decoders=decoders,
            keeper=keeper,
        )
        if ready is not None:
            ready()
        worker.run(stop)


@dataclass(slots=True, kw_only=True)
class Worker:
    """The claim loop over one loaded model. `held`: claims not yet ended, by token; `begun`: those given to a decoder."""

    ledger: Ledger
    options: ScoreOptions
    spool_root: Path
    owner: str
    lease_seconds: float
    loaded: LoadedModel
    decoders: Decoders
    keeper: LeaseKeeper
    held: dict[str, ClaimedInstance] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    next_expiry: float = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; what goes wrong is logged and tried again after a pause."""
        failures = 0
        while not stop.is_set():
            try:
                pause = 0.0 if self.work_once(stop) else IDLE_SECONDS
                failures = 0
            except EngineLost:
                self._let_go(blame=False)
                raise
            except TransientError as error:
                failures += 1
                pause = _pause_seconds(failures)
                log.warning("scoring_waits", error=type(error).__name__, attempts=failures, seconds=pause)
                self._let_go(blame=False)
            except Exception:
                # The worker's boundary: one bad round must not end the stage, whatever it was.
                failures += 1
                pause = _pause_seconds(failures)
                log.exception("scoring_failed", attempts=failures, seconds=pause)
                self._let_go(blame=True)
            stop.wait(pause)

    def work_once(self, stop: threading.Event) -> bool:
        """Claim one batch and bring it to its end, or to `stop`; whether there was any. Raises Unavailable, TransientError."""
        if time.monotonic() >= self.next_expiry:
            if expired := leases.expire(self.ledger, max_attempts=self.options.max_attempts):
                log.warning("leases_expired", count=expired)
            self.next_expiry = time.monotonic() + _EXPIRE_SECONDS
        claimed = leases.claim(self.ledger, owner=self.owner, limit=self.options.batch, lease_seconds=self.lease_seconds)
        self.held.update({c.token: c for c in claimed})
        self.keeper.hold(self.held.keys())
        for c in claimed:
            crashpoints.reach("score.after_claim", c.instance.digest)
        for judged in judge_all(self._requests(claimed), self.decoders, self.loaded, cancelled=stop.is_set):
            self._conclude(judged, stop)
        # Only a stop, or leases lost on the way, leave something over; releasing passes lost ones over.
        self._let_go(blame=False)
        return bool(claimed)

    def _requests(self, claimed: Sequence[ClaimedInstance]) -> Iterator[Request[ClaimedInstance]]:
        for c in claimed:
            if self.keeper.holds(c.token):
                self.begun.add(c.token)
                path = layout.resolve(self.spool_root, c.instance.path)
                yield Request(key=c, path=path, digest=c.instance.digest)

    def _conclude(self, judged: Judged[ClaimedInstance], stop: threading.Event) -> None:
        """Write what one claim came to; an absent ledger is waited for as long as the worker may."""
        claimed, failures = judged.key, 0
        while True:
            try:
                self._write(claimed, judged.result)
            except LeaseLost:
                log.warning("lease_lost", instance=claimed.instance.id)
            except Unavailable:
                failures += 1
                if stop.wait(_pause_seconds(failures)):
                    raise
                continue
            self._forget(claimed.token)
            return

    def _write(self, claimed: ClaimedInstance, result: Verdict | Failure) -> None:
        if isinstance(result, Failure):
            if result is Failure.SCORER_FAILED:
                self.loaded.check()
            self._fail(claimed, result)
            return
        crashpoints.reach("score.before_commit", claimed.instance.digest)
        verdicts.judge(self.ledger, claimed.token, result)
        crashpoints.reach("score.after_commit", claimed.instance.digest)
        seconds = (result.seconds_decode or 0.0) + (0.0 if result.score is None else result.score.seconds)
        outcome, reason = result.outcome.value, result.refusal
        log.info("judged", instance=claimed.instance.id, outcome=outcome, reason=reason, seconds=round(seconds, 4))

    def _fail(self, claimed: ClaimedInstance, failure: Failure) -> None:
        decision = self._decide(claimed, failure)
        if isinstance(decision, retry.GiveUp):
            leases.quarantine(self.ledger, claimed.token, reason=failure.value)
            log.error("quarantined", instance=claimed.instance.id, reason=failure.value, attempts=claimed.attempts)
            return
        leases.put_back(self.ledger, claimed.token, delay_seconds=decision.delay_seconds, reason=failure.value, alone_next=True)
        log.warning("put_back", instance=claimed.instance.id, reason=failure.value, attempts=claimed.attempts)

    def _decide(self, claimed: ClaimedInstance, failure: Failure) -> retry.Retry | retry.GiveUp:
        if failure in _HOPELESS:
            return retry.GiveUp(failure.value)
        return retry.after_scoring_failure(
            attempts=claimed.attempts,
            max_attempts=self.options.max_attempts,
            alone=claimed.alone,
            reason=failure.value,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )

    def _let_go(self, *, blame: bool) -> None:
        """Give unended work back, attempts included; with `blame`, what had begun goes back as failed, to be tried alone."""
        guilty = [c for token, c in self.held.items() if blame and token in self.begun]
        innocent = [token for token in self.held if not (blame and token in self.begun)]
        try:
            leases.release(self.ledger, innocent)
            for c in guilty:
                with suppress(LeaseLost):
                    self._fail(c, Failure.UNEXPECTED)
        except Unavailable:
            # Then the leases expire, which comes to the same a little later.
            log.warning("leases_left_to_expire", count=len(self.held))
        for token in list(self.held):
            self._forget(token)

    def _forget(self, token: str) -> None:
        self.keeper.drop(token)
        self.held.pop(token, None)
        self.begun.discard(token)


def _pause_seconds(failures: int) -> float:
    pause = retry.backoff_seconds(failures, first_seconds=_FIRST_PAUSE_SECONDS, jitter=0.5)
    return min(pause, _MAX_PAUSE_SECONDS)
