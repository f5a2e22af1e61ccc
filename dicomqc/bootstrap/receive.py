"""The receive stage, wired: settings, ledger and spool to the SCP."""

import threading
from collections.abc import Callable

from dicomqc.ledger.engine import open_ledger
from dicomqc.receive.associations import HEARTBEAT_SECONDS
from dicomqc.receive.scp import serve
from dicomqc.settings import Settings

_SHORTEST_HEARTBEAT_SECONDS = 0.2


def run(settings: Settings, stop: threading.Event, ready: Callable[[int], None]) -> None:
    """Receive until `stop`; `ready` hears the port. Raises ConfigError, Unavailable, IntegrityError."""
    # A transfer must be known to the ledger well within the quiet period, or its series would settle under it.
    heartbeat = min(HEARTBEAT_SECONDS, max(settings.series.quiet_seconds / 3, _SHORTEST_HEARTBEAT_SECONDS))
    with open_ledger(settings.ledger.url, create=True) as ledger:
        serve(settings.receive_options(), ledger, settings.spool_options(), stop, ready, heartbeat_seconds=heartbeat)
