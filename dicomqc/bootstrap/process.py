"""What every stage process shares: signals that stop it, a parent that it does not outlive, a word when it is ready."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module

import structlog

from dicomqc import logs
from dicomqc.core.errors import ConfigError
from dicomqc.settings import Settings

log = structlog.get_logger()
STAGES = ("receive", "score", "send")


def run_stage(stage: str, settings: Settings, *, supervised: bool) -> None:
    """Run one stage in this process until SIGTERM or SIGINT. Raises ConfigError, Unavailable, IntegrityError at its start.

    Supervised, the stage stops when standard input ends (its parent died) and says on standard output when it is ready.
    """
    if stage not in STAGES:
        raise ConfigError(f"--only: no stage {stage}; one of {', '.join(STAGES)}")
    logs.configure(settings.logs.format, stage=stage)
    threading.excepthook = _thread_died
    stop = stop_on_signals()
    if supervised:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
    # Imported by name, so that no stage drags in another's libraries.
    module = import_module(f"dicomqc.bootstrap.{stage}")
    module.run(settings, stop, _announcer(stage, supervised=supervised))


def _thread_died(died: threading.ExceptHookArgs) -> None:
    """A library's thread died (pynetdicom's do on malformed messages): Python would print what may hold a peer's values."""
    log.error("thread_died", exc_info=died.exc_value)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def owner() -> str:
    """The name under which this process holds leases: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"[:128]


def _stop_with_parent(stop: threading.Event) -> None:
    # Not through sys.stdin: Python aborts at its exit where a thread still holds that buffer's lock.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def _announcer(stage: str, *, supervised: bool) -> Callable[..., None]:
    def announce(port: int | None = None) -> None:
        if supervised:
            sys.stdout.write(json.dumps({"ready": stage, "port": port}) + "\n")
            sys.stdout.flush()

    return announce
