"""Keeps the leases of claimed instances alive while they are decoded and scored, which may take longer than a lease lasts (I5)."""

import threading
import time
from collections.abc import Collection
from typing import Self

import structlog

from dicomqc.core.errors import Unavailable
from dicomqc.ledger import leases
from dicomqc.ledger.engine import Ledger

log = structlog.get_logger()


class LeaseKeeper:
    """A context that renews the leases of `tokens` four times per `lease_seconds` in a thread of its own."""

    def __init__(self, ledger: Ledger, tokens: Collection[str], *, lease_seconds: float) -> None:
        self._ledger = ledger
        self._held = frozenset(tokens)
        self._lease_seconds = lease_seconds
        self._renewed_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="score-leases", daemon=True)

    def holds(self, token: str) -> bool:
        """Whether the lease is certainly still ours: a ledger that was away for a whole lease makes it doubtful."""
        return token in self._held and time.monotonic() - self._renewed_at < self._lease_seconds

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        # Joined, so that no renewal still runs when the stage closes its ledger.
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._lease_seconds / 4):
            asked_at = time.monotonic()
            try:
                self._held = frozenset(leases.renew(self._ledger, self._held, lease_seconds=self._lease_seconds))
            except Unavailable as error:
                log.warning("leases_not_renewed", count=len(self._held), error=type(error).__name__)
            else:
                self._renewed_at = asked_at
