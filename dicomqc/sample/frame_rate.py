"""The frame rate of a cine and the attribute that it came from, decided from values alone.

FrameIncrementPointer (PS3.3 C.7.6.6) chooses between FrameTime and FrameTimeVector, FrameTime where it is absent or names
neither; then acquisition date-times (Enhanced XA), CineRate and RecommendedDisplayFrameRate. A value that is absent, zero,
negative or not a number counts as absent, so the next attribute is asked; when none is left the rate is unknown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from dicomqc.core.cine import FrameRateSource

FRAME_TIME: Final = 0x00181063
FRAME_TIME_VECTOR: Final = 0x00181065
CONFLICT_HZ: Final = 1.0
# A strict PS3.5 decimal string: float() would also take nan, inf, 1_0 and full-width digits.
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE_TIME: Final = re.compile(r"([0-9]{14})(?:\.([0-9]{1,6}))?(?:[+-][0-9]{4})?")
_MAX_DECIMAL_LENGTH: Final = 64
_MS_PER_SECOND: Final = 1000.0
# Beyond these no angiograph exists, and 1000 divided by the least positive float is not finite.
_RATES_HZ: Final = (1e-3, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAttributes:
    """The attributes of one header that speak of its frame rate, as text where the data set holds text.

    `date_times` are FrameAcquisitionDateTime of consecutive frames; empty sequences where absent.
    """

    increment_pointer: Sequence[int] = ()
    frame_time: Sequence[str] = ()
    frame_time_vector: Sequence[str] = ()
    date_times: Sequence[str] = ()
    cine_rate: Sequence[str] = ()
    recommended_display_frame_rate: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRate:
    """Frames per second, where they came from, and whether another usable attribute differs by more than 1 fps."""

    hz: float
    source: FrameRateSource
    conflict: bool


def frame_rate(attributes: RateAttributes) -> FrameRate | None:
    """The frame rate by the rule of this module, or null where it is unknown."""
    intervals = [
        (FrameRateSource.FRAME_TIME, _rate_of_interval(single_decimal(attributes.frame_time))),
        (FrameRateSource.FRAME_TIME_VECTOR, _rate_of_vector(attributes.frame_time_vector)),
    ]
    pointer = attributes.increment_pointer
    if FRAME_TIME_VECTOR in pointer and FRAME_TIME not in pointer:
        intervals.reverse()
    ranked = [
        *intervals,
        (FrameRateSource.ACQUISITION_DATE_TIMES, _rate_of_date_times(attributes.date_times)),
        (FrameRateSource.CINE_RATE, _usable(single_decimal(attributes.cine_rate))),
        (
            FrameRateSource.RECOMMENDED_DISPLAY_FRAME_RATE,
            _usable(single_decimal(attributes.recommended_display_frame_rate)),
        ),
    ]
    known = [(source, hz) for source, hz in ranked if hz is not None]
    if not known:
        return None
    source, hz = known[0]
    return FrameRate(hz=hz, source=source, conflict=any(abs(other - hz) > CONFLICT_HZ for _, other in known[1:]))


def single_decimal(values: Sequence[str]) -> float | None:
    """The number of an attribute of multiplicity one; null where it has none, several, or something else than a number."""
    return _decimal(values[0]) if len(values) == 1 else None


def _decimal(text: str) -> float | None:
    text = text.strip(" \0")
    return float(text) if len(text) <= _MAX_DECIMAL_LENGTH and _DECIMAL.fullmatch(text) else None


def _usable(hz: float | None) -> float | None:
    return hz if hz is not None and _RATES_HZ[0] <= hz <= _RATES_HZ[1] else None


def _rate_of_interval(milliseconds: float | None) -> float | None:
    return _usable(_MS_PER_SECOND / milliseconds) if milliseconds is not None and milliseconds > 0 else None


def _rate_of_vector(values: Sequence[str]) -> float | None:
    """1000 / the median of the elements after the first, which is the first frame's own offset and always 0."""
    increments = [_decimal(value) for value in values[1:]]
    known = [value for value in increments if value is not None]
    return _rate_of_interval(median(known)) if known and len(known) == len(increments) else None


def _rate_of_date_times(values: Sequence[str]) -> float | None:
    """1000 / the median difference of consecutive frames; null unless every frame has a readable date-time."""
    moments = [_moment(value) for value in values]
    known = [moment for moment in moments if moment is not None]
    if len(known) != len(moments) or len(known) < 2:  # noqa: PLR2004 — a difference takes two
        return None
    steps = [(b - a) / timedelta(milliseconds=1) for a, b in pairwise(known)]
    return _rate_of_interval(median(steps))


def _moment(text: str) -> datetime | None:
    """A DT value to the microsecond; the zone is left out, since all frames of one object share it."""
    match = _DATE_TIME.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    try:
        whole = datetime.strptime(match[1], "%Y%m%d%H%M%S")  # noqa: DTZ007 — only differences are taken
    except ValueError:
        return None
    return whole + timedelta(microseconds=int((match[2] or "0").ljust(6, "0")))
