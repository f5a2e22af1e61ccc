"""The score stage: leases instances, has them decoded and scored, and commits one verdict each, until told to stop.

Every claim ends: judged, put back, quarantined, given back at a stop, or lost to somebody else (I5, I6).
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog

from dicomqc import crashpoints
from dicomqc.core.cine import Failure
from dicomqc.core.errors import LeaseLost, TransientError, Unavailable
from dicomqc.core.instance import ClaimedInstance
from dicomqc.core.options import ScoreOptions
from dicomqc.core.retry import GiveUp, after_scoring_failure, backoff_seconds
from dicomqc.core.verdict import Verdict
from dicomqc.ledger import leases, verdicts
from dicomqc.ledger.engine import Ledger
from dicomqc.score.batch import examine
from dicomqc.score.decode_process import Request
from dicomqc.score.decoder import Decoders
from dicomqc.score.engine import LoadedModel, open_scorer
from dicomqc.score.keeper import LeaseKeeper
from dicomqc.spool import layout

log = structlog.get_logger()

LEASE_SECONDS = 60.0
POLL_SECONDS = 0.25
EXPIRE_EVERY_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 10.0
# The bytes are not what was received: no attempt can change that (I4).
AT_ONCE = frozenset({Failure.DIGEST_MISMATCH, Failure.FILE_MISSING})


def run_score(
    ledger: Ledger, options: ScoreOptions, spool_root: Path, stop: threading.Event, owner: str, ready: Callable[[], None]
) -> None:
    """Score until `stop` is set, then give unfinished work back and return within ten seconds; `ready` once it can begin.

    `owner` names this process in the leases. Lives through an absent ledger. Raises ConfigError, IntegrityError, and
    TransientError where no decode process can be started at first.
    """
    loaded = open_scorer(options)
    with Decoders.open(loaded.version.card.spec, options.short) as decoders:
        said = loaded.provenance
        log.info("model_loaded", model=str(said.model), engine=said.engine, precision=said.precision, device=said.device)
        ready()
        _endure(Worker(ledger, options, spool_root, loaded, decoders, stop, owner), stop)
    log.info("score_stopped")


class Worker:
    """One worker on one ledger; `step` is one round, `set_aside` what follows a round that raised."""

    def __init__(  # noqa: PLR0917 - the stage's parts, wired once
        self,
        ledger: Ledger,
        options: ScoreOptions,
        spool_root: Path,
        loaded: LoadedModel,
        decoders: Decoders,
        stop: threading.Event,
        owner: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._options = options
        self._spool_root = spool_root
        self._loaded = loaded
        self._decoders = decoders
        self._stop = stop
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._unfinished: dict[str, ClaimedInstance] = {}
        self._next_expiry_at = 0.0

    def step(self) -> float:
        """Claim and finish one batch; returns the seconds to wait before the next. Raises Unavailable."""
        self._expire()
        claimed = leases.claim(self._ledger, owner=self._owner, limit=self._options.batch, lease_seconds=self._lease_seconds)
        if not claimed:
            return POLL_SECONDS
        self._unfinished = {c.token: c for c in claimed}
        log.info("claimed", count=len(claimed))
        with LeaseKeeper(self._ledger, self._unfinished, lease_seconds=self._lease_seconds) as keeper:
            for c in claimed:
                crashpoints.reach("score.after_claim", c.instance.digest)
            self._finish(claimed, keeper)
        if self._unfinished:
            self._give_back()
        return 0.0

    def set_aside(self, error: Exception) -> None:
        """End the claims of a round that raised: the node's own troubles cost no attempt, a defect costs one (I6)."""
        try:
            if isinstance(error, TransientError):
                self._give_back()
            else:
                for claimed in [*self._unfinished.values()]:
                    self._fail(claimed, Failure.UNEXPECTED)
        except Unavailable:
            # The leases expire by themselves.
            self._unfinished.clear()

    def _expire(self) -> None:
        if time.monotonic() < self._next_expiry_at:
            return
        expired = leases.expire(self._ledger, max_attempts=self._options.max_attempts)
        if expired:
            log.warning("leases_expired", count=expired)
        self._next_expiry_at = time.monotonic() + EXPIRE_EVERY_SECONDS

    def _finish(self, claimed: Sequence[ClaimedInstance], keeper: LeaseKeeper) -> None:
        requests = [Request(path=layout.resolve(self._spool_root, c.instance.path), digest=c.instance.digest) for c in claimed]
        results = examine(requests, self._loaded, self._decoders, self._stop.is_set)
        # A stop ends the answers early.
        for c, examined in zip(claimed, results, strict=False):
            if not keeper.holds(c.token):
                self._drop(c)
            elif isinstance(examined.result, Verdict):
                self._judge(c, examined.result)
            else:
                self._fail(c, examined.result)

    def _judge(self, claimed: ClaimedInstance, verdict: Verdict) -> None:
        crashpoints.reach("score.before_commit", claimed.instance.digest)
        if self._write(claimed, partial(verdicts.judge, self._ledger, claimed.token, verdict)):
            crashpoints.reach("score.after_commit", claimed.instance.digest)
            seconds = (verdict.seconds_decode or 0.0) + (0.0 if verdict.score is None else verdict.score.seconds)
            reason = None if verdict.refusal is None else verdict.refusal.value
            log.info(
                "judged", instance=claimed.instance.id, outcome=verdict.outcome.value, reason=reason, seconds=round(seconds, 4)
            )

    def _fail(self, claimed: ClaimedInstance, failure: Failure) -> None:
        reason, token = failure.value, claimed.token
        decision = after_scoring_failure(
            attempts=claimed.attempts,
            max_attempts=self._options.max_attempts,
            alone=claimed.alone,
            reason=reason,
            jitter=random.random(),  # noqa: S311 - no secret
        )
        if failure in AT_ONCE or isinstance(decision, GiveUp):
            act, event = partial(leases.quarantine, self._ledger, token, reason=reason), "quarantined"
        else:
            delay = decision.delay_seconds
            act = partial(leases.put_back, self._ledger, token, delay_seconds=delay, reason=reason, alone_next=True)
            event = "put_back"
        if self._write(claimed, act):
            log.warning(event, instance=claimed.instance.id, reason=reason, attempts=claimed.attempts)

    def _write(self, claimed: ClaimedInstance, act: Callable[[], None]) -> bool:
        """Whether the claim was ended by `act`; waits for an absent ledger, since the work is done already."""
        failures = 0
        while True:
            try:
                act()
            except LeaseLost:
                self._drop(claimed)
                return False
            except Unavailable as error:
                failures += 1
                log.warning("ledger_unavailable", error=type(error).__name__, attempts=failures)
                if self._stop.wait(_backoff(failures)):
                    raise
            else:
                self._unfinished.pop(claimed.token, None)
                return True

    def _drop(self, claimed: ClaimedInstance) -> None:
        log.warning("lease_lost", instance=claimed.instance.id)
        self._unfinished.pop(claimed.token, None)

    def _give_back(self) -> None:
        leases.release(self._ledger, list(self._unfinished))
        log.info("given_back", count=len(self._unfinished))
        self._unfinished.clear()


def _backoff(failures: int) -> float:
    wait = backoff_seconds(failures, first_seconds=0.5, jitter=random.random())  # noqa: S311 - no secret
    return min(wait, _LONGEST_BACKOFF_SECONDS)


def _endure(worker: Worker, stop: threading.Event) -> None:
    failures = 0
    while not stop.is_set():
        try:
            wait = worker.step()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the worker's boundary: no defect and no absent ledger may end it
            failures += 1
            say = log.warning if isinstance(error, TransientError) else log.error
            say("score_step_failed", exc_info=error, attempts=failures)
            worker.set_aside(error)
            wait = _backoff(failures)
        stop.wait(wait)
