"""Waiting for what other threads and processes do: poll, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(holds: Callable[[], T], what: str = "it", *, seconds: float = 30.0) -> T:
    """Poll `holds` until its answer is true, and return it; fail after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"{what} did not come to hold within {seconds:.0f} s; last: {answer!r}"
        time.sleep(0.02)
    return answer
