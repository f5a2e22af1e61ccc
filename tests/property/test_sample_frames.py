"""Frame selection, frame rates and headers over all inputs.

Kills the mutants: numbers counted from 0, a window one frame too long or too short, padding beyond the last frame, a tolerance
that is strict or one-sided, float() instead of the strict decimal string, a median that includes the first element, a header
walk that trusts a length.
"""

import math
import struct
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicomqc.core.cine import Eligible, FrameRateSource, Refusal, Refused
from dicomqc.sample.frame_rate import RateAttributes, frame_rate
from dicomqc.sample.header import read_header
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.select import eligibility
from dicomqc.sample.spec import X3D_S, FrameSpec
from tests.support.sample_cines import BASELINE, BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, moving_clip, part10, write_cine
from tests.support.sample_headers import GOOD_HEADER, changed

specs = st.builds(
    FrameSpec,
    kind=st.sampled_from(["3d", "2d"]),
    first=st.integers(1, 200),
    window=st.integers(1, 200),
    step=st.integers(1, 64),
    size=st.integers(1, 400),
    frame_rate_tolerance_hz=st.floats(0, 5),
)
decimals = st.decimals(min_value="0.0001", max_value="100000", places=4).map(str)
hostile = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["nan", "inf", "-inf", "0", "-0", "+0.0", "-1", "1e400", "1e-400", "1_0", "٣", "0x10", " ", "."]),
)


@given(specs)
def test_frame_numbers_begin_at_first_and_stay_in_the_window(spec: FrameSpec):
    numbers = spec.frame_numbers()
    assert numbers[0] == spec.first
    assert spec.last_frame - spec.step < numbers[-1] <= spec.last_frame
    assert all(b - a == spec.step for a, b in pairwise(numbers))
    assert FrameSpec.from_json(spec.to_json()).digest() == spec.digest()


@given(specs, specs)
def test_specs_share_a_digest_only_if_they_are_equal(a: FrameSpec, b: FrameSpec):
    assert (a.digest() == b.digest()) is (a == b)


@given(specs, st.integers(-5, 500), st.sampled_from(["refuse", "pad"]))
def test_only_existing_frames_are_ever_chosen(spec: FrameSpec, frames: int, short: str):
    found = eligibility(changed(GOOD_HEADER, frames=frames, frame_rate_hz=spec.frame_rate_hz), spec, short)  # type: ignore[arg-type]
    if isinstance(found, Refused):
        assert frames < (spec.last_frame if short == "refuse" else spec.first)
        assert found.reason is (Refusal.TOO_SHORT if frames >= 1 else Refusal.INVALID_FRAME_COUNT)
    else:
        assert len(found.frame_numbers) == len(spec.frame_numbers())
        assert all(1 <= number <= frames for number in found.frame_numbers)
        assert frames < spec.last_frame or found.frame_numbers == spec.frame_numbers()


@given(st.floats(0.01, 1000))
def test_the_rate_is_accepted_exactly_within_the_tolerance(hz: float):
    found = eligibility(changed(GOOD_HEADER, frame_rate_hz=hz), X3D_S)
    assert isinstance(found, Eligible) is (14.5 <= hz <= 15.5)


@given(decimals, st.sampled_from(["", " ", "\0", "  "]), st.sampled_from(["", " ", "\0"]))
def test_padded_decimal_strings_are_their_number(text: str, before: str, after: str):
    rate = frame_rate(RateAttributes(frame_time=(before + text + after,)))
    expected = 1000 / float(text)
    assert (rate is None) is not (1e-3 <= expected <= 1e6)
    assert rate is None or rate.hz == expected


@given(hostile, hostile, hostile, st.lists(hostile, max_size=5), st.lists(hostile, max_size=4))
def test_a_rate_is_finite_and_positive_or_unknown_whatever_the_attributes_say(
    frame_time: str, cine: str, display: str, vector: list[str], dates: list[str]
):
    rate = frame_rate(
        RateAttributes(
            frame_time=(frame_time,),
            frame_time_vector=vector,
            date_times=dates,
            cine_rate=(cine,),
            recommended_display_frame_rate=(display,),
        )
    )
    assert rate is None or (math.isfinite(rate.hz) and rate.hz > 0)


@given(st.lists(decimals, min_size=1, max_size=30), decimals)
def test_the_vector_does_not_depend_on_its_first_element_or_its_order(increments: list[str], first: str):
    assume(all(float(value) > 0.01 for value in increments))
    plain = frame_rate(RateAttributes(frame_time_vector=("0", *increments)))
    other = frame_rate(RateAttributes(frame_time_vector=(first, *reversed(increments))))
    assert plain == other
    assert plain is not None
    assert plain.source is FrameRateSource.FRAME_TIME_VECTOR


@given(st.binary(max_size=400), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, BASELINE]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_after_the_file_meta_are_a_header_or_a_reason(data: bytes, syntax: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(part10(data, syntax))
        read_header(path)
        path.write_bytes(data)
        assert isinstance(read_header(path), Refused) or data[:2] == struct.pack("<H", 2)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_mutation_of_a_cine_is_sampled_or_refused(changes: list[tuple[int, int]], kind: int):
    syntax = (EXPLICIT, IMPLICIT, BIG_ENDIAN, BASELINE)[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = write_cine(Path(folder) / "a", moving_clip(4, 6), syntax=syntax, WindowCenter="90", WindowWidth="100")
        data = bytearray(path.read_bytes())
        # Most of the interesting bytes are in the header, after the preamble.
        for at, value in changes:
            data[128 + at % (len(data) - 128)] = value
        path.write_bytes(data)
        sampled = sample_cine(path, FrameSpec(kind="3d", first=1, window=4, step=2, size=4))
        assert isinstance(sampled.decision, Refused) is (sampled.frames is None)
