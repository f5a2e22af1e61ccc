"""Keeps the leases of the work at hand alive, and knows which of them were lost (I5)."""

import threading
from collections.abc import Collection
from typing import Self

import structlog

from dicomqc.core.errors import DicomQCError
from dicomqc.ledger import leases
from dicomqc.ledger.engine import Ledger

log = structlog.get_logger()


class Heartbeat:
    """Renews held leases four times within their life, from a thread of its own; a ledger that is away is asked again."""

    def __init__(self, ledger: Ledger, *, lease_seconds: float) -> None:
        self._ledger = ledger
        self._lease_seconds = lease_seconds
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def hold(self, tokens: Collection[str]) -> None:
        """Renew these from now on."""
        with self._lock:
            self._held.update(tokens)

    def drop(self, token: str) -> None:
        """Renew it no more: its work has ended."""
        with self._lock:
            self._held.discard(token)

    def holds(self, token: str) -> bool:
        """Whether the lease is not known to be lost."""
        with self._lock:
            return token in self._held

    def _run(self) -> None:
        while not self._end.wait(self._lease_seconds / 4):
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            tokens = frozenset(self._held)
        if not tokens:
            return
        try:
            kept = leases.renew(self._ledger, tokens, lease_seconds=self._lease_seconds)
        except DicomQCError as error:
            log.warning("lease_not_renewed", error=type(error).__name__, count=len(tokens))
            return
        with self._lock:
            self._held -= tokens - kept

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.set()
        self._thread.join()
