"""The log: structlog on standard error, JSON or console.

An allow-list of keys keeps patient data out even where somebody logs it by accident.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "stage", "version", "pid",
        "association", "instance", "series", "delivery", "destination", "calling_ae", "called_ae", "peer", "port",
        "sop_class", "transfer_syntax", "uid_hash", "path_hash", "digest", "intake", "status", "reason", "state", "outcome",
        "count", "bytes", "free_bytes", "seconds", "attempts", "error", "where", "model", "engine", "precision", "device",
    }
)  # fmt: skip


def configure(log_format: Literal["console", "json"], *, stage: str) -> None:
    """Set the process's log up, once, at its start; every line carries the stage. Other libraries' logs are not shown."""
    logging.getLogger().handlers = [logging.NullHandler()]
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            # Not by a context variable: the threads of libraries do not inherit those.
            lambda _logger, _method, event: {"stage": stage, **event},
            structlog.processors.add_log_level,
            _name_the_place,
            allow_listed,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Not a PrintLogger: it writes a line and its end apart, and three processes with many threads share standard error.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def allow_listed(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every key that is not on the list, and say how many were."""
    dropped = [key for key in event if key not in ALLOWED]
    for key in dropped:
        del event[key]
    if dropped:
        event["count"] = event.get("count", len(dropped))
        event["reason"] = event.get("reason", "keys_not_allowed")
    return event


def _name_the_place(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An unexpected exception becomes its class and place: its message or a traceback with values could carry patient data."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        if frame is not None:
            event["where"] = f"{frame.tb_frame.f_globals.get('__name__', '?')}:{frame.tb_lineno}"
    return event
