"""The send stage, wired: settings, ledger and spool to the forwarder."""

import threading
from collections.abc import Callable

from dicomqc.bootstrap.process import owner
from dicomqc.ledger.engine import open_ledger
from dicomqc.send.forwarder import run_send
from dicomqc.settings import Settings


def run(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Settle and forward until `stop`. Raises ConfigError, Unavailable, IntegrityError."""
    with open_ledger(settings.ledger.url, create=True) as ledger:
        ready()
        run_send(ledger, settings.send_options(), settings.spool.root, stop, owner())
