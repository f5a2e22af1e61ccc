"""A time by which to stop: a machine may be lent for minutes, and what is not kept by then is lost."""

import time
from typing import Final

from dicomqc.core.errors import DicomQCError


class Paused(DicomQCError):
    """The clock is over; everything that was done is kept, and the same command goes on there."""


class Clock:
    """Runs for so many seconds from its making."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: infinity for no end."""
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def check(self) -> None:
        """Raise `Paused` where the time is up."""
        if self.over:
            raise Paused("paused by the clock; run the same command again to go on")


NO_END: Final = Clock(float("inf"))
