"""The 15 fps rule: which attribute gives the rate, what counts as absent, and when a conflict is recorded."""

import pytest

from dicomqc.core.cine import FrameRateSource as Source
from dicomqc.sample.frame_rate import FRAME_TIME, FRAME_TIME_VECTOR, RateAttributes, frame_rate, single_decimal


def dates(*milliseconds: int) -> tuple[str, ...]:
    return tuple(f"20260102120{ms // 60000:d}{ms // 1000 % 60:02d}.{ms % 1000:03d}000" for ms in milliseconds)


@pytest.mark.parametrize(
    ("text", "hz"),
    [
        ("66.6667", 15.0),
        (" 66.6667 ", 15.0),
        ("66", 15.1515),
        ("67", 14.9254),
        ("133.333", 7.5),
        ("6.66667E1", 15.0),
        ("+40.", 25.0),
    ],
)
def test_frame_time_is_milliseconds_a_frame(text: str, hz: float):
    rate = frame_rate(RateAttributes(increment_pointer=(FRAME_TIME,), frame_time=(text,)))
    assert rate is not None
    assert rate.hz == pytest.approx(hz, rel=1e-4)
    assert (rate.source, rate.conflict) == (Source.FRAME_TIME, False)


BAD = [
    "",
    "0",
    "0.0",
    "-1",
    "-66.7",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "abc",
    "66,7",
    "1_0",
    "٦٦",
    "0x40",
    "66.7 fps",
    "1" * 65,
]


@pytest.mark.parametrize("text", BAD)
def test_a_frame_time_that_is_no_positive_number_counts_as_absent(text: str):
    assert frame_rate(RateAttributes(frame_time=(text,))) is None
    fallback = frame_rate(RateAttributes(frame_time=(text,), cine_rate=("15",)))
    assert fallback is not None
    assert (fallback.hz, fallback.source) == (15.0, Source.CINE_RATE)


@pytest.mark.parametrize("text", BAD)
def test_a_cine_rate_that_is_no_positive_number_counts_as_absent(text: str):
    assert frame_rate(RateAttributes(cine_rate=(text,))) is None


@pytest.mark.parametrize("text", BAD)
def test_a_vector_with_an_unreadable_median_counts_as_absent(text: str):
    assert frame_rate(RateAttributes(frame_time_vector=("0", text))) is None


def test_several_values_where_one_belongs_are_none():
    assert single_decimal(("66.7", "66.7")) is None
    assert frame_rate(RateAttributes(frame_time=("66.7", "33.3"))) is None


@pytest.mark.parametrize("pointer", [(FRAME_TIME_VECTOR,), (), (0x00181234,)])
def test_the_vector_is_its_median_without_the_first_element(pointer: tuple[int, ...]):
    vector = ("0", "66", "67", "67", "500", "66.7")
    rate = frame_rate(RateAttributes(increment_pointer=pointer, frame_time_vector=vector))
    assert rate is not None
    assert rate.hz == pytest.approx(1000 / 67)
    assert rate.source is Source.FRAME_TIME_VECTOR


@pytest.mark.parametrize("vector", [(), ("0",), ("66",), ("0", "66", "x"), ("0", "0", "0")])
def test_a_vector_without_usable_increments_is_none(vector: tuple[str, ...]):
    assert frame_rate(RateAttributes(frame_time_vector=vector)) is None


@pytest.mark.parametrize(
    ("pointer", "source"),
    [
        ((FRAME_TIME,), Source.FRAME_TIME),
        ((FRAME_TIME_VECTOR,), Source.FRAME_TIME_VECTOR),
        ((), Source.FRAME_TIME),
        ((0x00540010,), Source.FRAME_TIME),
        ((FRAME_TIME, FRAME_TIME_VECTOR), Source.FRAME_TIME),
    ],
)
def test_the_pointer_chooses_and_frame_time_wins_without_one(pointer: tuple[int, ...], source: Source):
    rate = frame_rate(RateAttributes(increment_pointer=pointer, frame_time=("66.7",), frame_time_vector=("0", "40", "40")))
    assert rate is not None
    assert rate.source is source
    assert rate.conflict


def test_a_pointer_to_an_unusable_attribute_is_an_invalid_pointer():
    rate = frame_rate(RateAttributes(increment_pointer=(FRAME_TIME,), frame_time=("0",), frame_time_vector=("0", "40")))
    assert rate is not None
    assert (rate.hz, rate.source) == (25.0, Source.FRAME_TIME_VECTOR)


def test_the_integers_come_last_and_cine_rate_before_display_rate():
    rate = frame_rate(RateAttributes(cine_rate=("7",), recommended_display_frame_rate=("8",)))
    assert rate is not None
    assert (rate.hz, rate.source, rate.conflict) == (7.0, Source.CINE_RATE, False)
    display = frame_rate(RateAttributes(recommended_display_frame_rate=("15",)))
    assert display is not None
    assert display.source is Source.RECOMMENDED_DISPLAY_FRAME_RATE


@pytest.mark.parametrize(("cine_rate", "conflict"), [("15", False), ("16", False), ("17", True), ("30", True), ("0", False)])
def test_frame_time_wins_a_conflict_of_more_than_one_fps_and_it_is_recorded(cine_rate: str, conflict: bool):
    rate = frame_rate(RateAttributes(frame_time=("66",), cine_rate=(cine_rate,)))
    assert rate is not None
    assert rate.source is Source.FRAME_TIME
    assert rate.conflict is conflict


def test_enhanced_objects_are_timed_by_the_median_of_their_acquisition_date_times():
    rate = frame_rate(RateAttributes(date_times=dates(0, 67, 133, 200, 267, 900), cine_rate=("30",)))
    assert rate is not None
    assert rate.hz == pytest.approx(1000 / 67)
    assert (rate.source, rate.conflict) == (Source.ACQUISITION_DATE_TIMES, True)


@pytest.mark.parametrize(
    "values",
    [dates(0), dates(5, 5, 5), dates(900, 400, 0), ("20260102120000", ""), ("20261302120000", "20261302120001"), ("x", "y")],
)
def test_date_times_that_do_not_advance_or_cannot_be_read_are_none(values: tuple[str, ...]):
    assert frame_rate(RateAttributes(date_times=values)) is None


def test_date_times_may_carry_a_zone_and_cross_midnight():
    values = ("20251231235959.960000+0100", "20260101000000.026667+0100")
    rate = frame_rate(RateAttributes(date_times=values))
    assert rate is not None
    assert rate.hz == pytest.approx(15.0, rel=1e-4)


def test_nothing_is_unknown():
    assert frame_rate(RateAttributes()) is None
