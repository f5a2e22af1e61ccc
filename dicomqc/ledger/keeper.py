"""Keeps leases alive while their work takes longer than a lease lasts, and knows which are certainly still held (I5)."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Self

import structlog

from dicomqc.core.errors import DicomQCError

log = structlog.get_logger()

Renew = Callable[[Collection[str]], set[str]]
_RENEWALS_PER_LEASE = 4


class LeaseKeeper:
    """A context whose thread renews what is held; `renew` returns the tokens that still are."""

    def __init__(self, renew: Renew, *, lease_seconds: float) -> None:
        self._renew = renew
        self._lease_seconds = lease_seconds
        self._renewed_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def hold(self, tokens: Collection[str]) -> None:
        """Renew these freshly claimed leases from now on."""
        with self._lock:
            self._renewed_at.update(dict.fromkeys(tokens, time.monotonic()))

    def drop(self, token: str) -> None:
        """Renew it no more: its work has ended."""
        with self._lock:
            self._renewed_at.pop(token, None)

    def holds(self, token: str) -> bool:
        """Whether the lease is certainly still ours: a ledger that was away for a whole lease makes it doubtful."""
        with self._lock:
            renewed_at = self._renewed_at.get(token)
        return renewed_at is not None and time.monotonic() - renewed_at < self._lease_seconds

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not joined: a renewal under way may wait long for an absent ledger, and nothing hangs on its answer.
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._lease_seconds / _RENEWALS_PER_LEASE):
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            tokens = frozenset(self._renewed_at)
        if not tokens:
            return
        asked_at = time.monotonic()
        try:
            kept = self._renew(tokens)
        except DicomQCError as error:
            log.warning("leases_not_renewed", error=type(error).__name__, count=len(tokens))
            return
        with self._lock:
            for token in tokens & self._renewed_at.keys():
                if token in kept:
                    self._renewed_at[token] = asked_at
                else:
                    del self._renewed_at[token]
