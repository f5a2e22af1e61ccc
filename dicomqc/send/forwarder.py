"""The send stage: settles, forwards and purges until told to stop; a thread per destination, so that none waits for another."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from dicomqc.core.errors import ConfigError, Unavailable
from dicomqc.core.options import SendOptions
from dicomqc.core.retry import backoff_seconds
from dicomqc.ledger import deliveries
from dicomqc.ledger.engine import Ledger
from dicomqc.send.destination import DestinationSender
from dicomqc.send.purge import purge
from dicomqc.send.settle import settle_due

log = structlog.get_logger()

STOP_SECONDS = 10.0
PURGE_EVERY_SECONDS = 3600.0
PURGE_LIMIT = 500
_SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.05, 1.0
_LONGEST_BACKOFF_SECONDS = 10.0


def run_send(ledger: Ledger, options: SendOptions, spool_root: Path, stop: threading.Event, owner: str) -> None:
    """Run the send stage until `stop` is set, then finish the instances in flight and return within ten seconds.

    `owner` names this process in the leases. Lives through an absent ledger and any peer. Raises ConfigError.
    """
    if any(d.decompress for d in options.destinations):
        raise ConfigError("send.destinations: decompress is not available; data sets are sent in the syntax they came in")
    threads = []
    for destination in options.destinations:
        sender = DestinationSender(ledger, options, destination, spool_root, stop, f"{owner}/{destination.name}")
        threads.append(threading.Thread(target=_endure, args=(sender.step, stop), name=f"send-{destination.name}", daemon=True))
    for thread in threads:
        thread.start()
    _endure(_Housekeeping(ledger, options, spool_root, stop).step, stop)
    deadline = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    log.info("send_stopped", count=sum(t.is_alive() for t in threads))


class _Housekeeping:
    """What is done for all destinations together: dead senders' leases, settling, retention."""

    def __init__(self, ledger: Ledger, options: SendOptions, spool_root: Path, stop: threading.Event) -> None:
        self._ledger = ledger
        self._options = options
        self._spool_root = spool_root
        self._stop = stop
        self._next_purge_at = 0.0
        self._configured = False
        quarter = options.series.quiet_seconds / 4
        self._poll_seconds = min(max(quarter, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)

    def step(self) -> float:
        """One round; returns the seconds to wait before the next. Raises Unavailable."""
        if not self._configured:
            unknown = deliveries.give_up_unknown(self._ledger, [d.name for d in self._options.destinations])
            if unknown:
                log.warning("destinations_no_longer_configured", count=unknown)
            self._configured = True
        expired = deliveries.expire(self._ledger)
        if expired:
            log.warning("leases_expired", count=expired)
        settle_due(self._ledger, self._options)
        self._purge_hourly()
        return self._poll_seconds

    def _purge_hourly(self) -> None:
        days = self._options.retention_days
        if days is None or time.monotonic() < self._next_purge_at:
            return
        while purge(self._ledger, self._spool_root, retention_days=days, limit=PURGE_LIMIT) == PURGE_LIMIT:
            if self._stop.is_set():
                return
        self._next_purge_at = time.monotonic() + PURGE_EVERY_SECONDS


def _endure(step: Callable[[], float], stop: threading.Event) -> None:
    """Call `step` until `stop`, waiting as long as it says; what it raises delays the next call and never ends the loop."""
    failures = 0
    stage = threading.current_thread().name
    while not stop.is_set():
        try:
            wait = step()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the forwarder's boundary: a defect or an absent ledger must not end it
            failures += 1
            say = log.warning if isinstance(error, Unavailable) else log.error
            say("send_step_failed", stage=stage, error=type(error).__name__, attempts=failures)
            backoff = backoff_seconds(failures, first_seconds=0.5, jitter=random.random())  # noqa: S311 - no secret
            wait = min(backoff, _LONGEST_BACKOFF_SECONDS)
        stop.wait(wait)
