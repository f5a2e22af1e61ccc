"""The associations that are open now: counted for admission, leased in the ledger, renewed by a heartbeat, always closed.

Safe to call from any thread. A ledger that is away for a while costs leases, never the association.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from dicomqc.core.errors import Unavailable
from dicomqc.ledger import associations as rows
from dicomqc.ledger.engine import Ledger
from dicomqc.receive.admission import Caller

HEARTBEAT_SECONDS = 5.0
LEASE_HEARTBEATS = 3


@dataclass(slots=True, kw_only=True)
class Live:
    """One open association; the counters are written by its own threads only."""

    id: int
    caller: Caller
    log: Any
    opened: float
    transferring: bool = False
    stored: int = 0
    arrived_bytes: int = 0
    completed: dict[int, int] = field(default_factory=dict)

    def begin_message(self) -> None:
        """A command set arrives: the data set that follows it is counted from nothing."""
        self.arrived_bytes = 0

    def arrive(self, count: int) -> None:
        """`count` bytes of a data set arrived."""
        self.arrived_bytes += count
        self.transferring = True

    def complete(self, message_id: int) -> None:
        """The data set of message `message_id` is complete."""
        self.completed[message_id] = self.arrived_bytes

    def take_count(self, message_id: int) -> int | None:
        """The bytes that came for `message_id`, once."""
        return self.completed.pop(message_id, None)


class Associations:
    """The open associations of one receiver, keyed by whatever object the acceptor has for each."""

    def __init__(self, ledger: Ledger, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._ledger = ledger
        self._heartbeat_seconds = heartbeat_seconds
        self._lease_seconds = heartbeat_seconds * LEASE_HEARTBEATS
        self._lock = threading.Lock()
        self._live: dict[Any, Live] = {}
        self._renewed: dict[int, bool] = {}
        self._renewed_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._live)

    def get(self, key: object) -> Live | None:
        """The open association of `key`."""
        return self._live.get(key)

    def snapshot(self) -> list[tuple[Any, Live]]:
        """Every open association with its key."""
        with self._lock:
            return list(self._live.items())

    def open(self, key: object, caller: Caller) -> Live:
        """Write the association's row and keep it leased from now on. Raises Unavailable."""
        association_id = rows.open_association(
            self._ledger,
            calling_ae=caller.calling_ae,
            called_ae=caller.called_ae,
            peer=caller.peer,
            lease_seconds=self._lease_seconds,
        )
        log = structlog.get_logger().bind(association=association_id, calling_ae=caller.calling_ae, peer=caller.peer)
        live = Live(id=association_id, caller=caller, log=log, opened=time.monotonic())
        with self._lock:
            self._live[key] = live
        log.info("association_opened", called_ae=caller.called_ae)
        return live

    def close(self, key: object, *, reason: str) -> bool:
        """End the association of `key`, once; whether it was open. A ledger that is away lets the lease end it."""
        with self._lock:
            live = self._live.pop(key, None)
        if live is None:
            return False
        try:
            rows.close_association(self._ledger, live.id)
        except Unavailable as error:
            live.log.warning("ledger_unavailable", stage="close", error=type(error).__name__)
        seconds = round(time.monotonic() - live.opened, 3)
        live.log.info("association_closed", reason=reason, count=live.stored, seconds=seconds)
        return True

    def beat(self) -> None:
        """Renew every lease when it is time, or as soon as a transfer has begun or ended since the last renewal."""
        now = time.monotonic()
        state = {live.id: live.transferring for _, live in self.snapshot()}
        changed = any(self._renewed.get(i, False) is not busy for i, busy in state.items())
        if not changed and now - self._renewed_at < self._heartbeat_seconds:
            return
        try:
            rows.renew_associations(self._ledger, state, lease_seconds=self._lease_seconds)
        except Unavailable as error:
            structlog.get_logger().warning("ledger_unavailable", stage="heartbeat", error=type(error).__name__)
            return
        self._renewed, self._renewed_at = state, now


def close_dead(associations: Associations, is_alive: Callable[[Any], bool], end: Callable[[Any, str], None]) -> None:
    """Call `end(key, reason)` for every association whose thread died without saying so."""
    for key, _ in associations.snapshot():
        if not is_alive(key):
            end(key, "lost")
