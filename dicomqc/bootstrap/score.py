"""The score stage, wired: settings, ledger and spool to the worker."""

import threading
from collections.abc import Callable

from dicomqc.bootstrap.process import owner
from dicomqc.ledger.engine import open_ledger
from dicomqc.score.worker import run_score
from dicomqc.settings import Settings


def run(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Score until `stop`. Raises ConfigError, TransientError, IntegrityError."""
    with open_ledger(settings.ledger.url, create=True) as ledger:
        run_score(ledger, settings.score_options(), settings.spool.root, stop, owner(), ready)
