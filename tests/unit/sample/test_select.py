"""Eligibility: one reason each, in the documented order."""

from typing import Any

import pytest

from dicomqc.core.cine import Eligible, FrameRateSource, Refusal, Refused
from dicomqc.sample.select import ANGIOGRAPHY_CLASSES, SECONDARY_CAPTURE_CLASSES, decodable, eligibility
from dicomqc.sample.spec import RESNET_2D, X3D_S
from dicomqc.sample.syntaxes import SYNTAXES
from tests.support.sample_headers import GOOD_HEADER, changed

# Ordered as the checks are: each breaks one rule.
BROKEN: list[tuple[dict[str, Any], Refusal]] = [
    ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, Refusal.NOT_A_CINE_ANGIOGRAM),
    ({"subtracted": True}, Refusal.SUBTRACTED),
    ({"has_pixel_data": False}, Refusal.NO_PIXEL_DATA),
    ({"rows": 0}, Refusal.INVALID_GEOMETRY),
    ({"samples_per_pixel": 3, "photometric": "RGB"}, Refusal.UNSUPPORTED_PHOTOMETRIC),
    ({"bits_allocated": 32}, Refusal.UNSUPPORTED_BITS),
    ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.102"}, Refusal.UNSUPPORTED_TRANSFER_SYNTAX),
    ({"frames": 0}, Refusal.INVALID_FRAME_COUNT),
    ({"frames": 46}, Refusal.TOO_SHORT),
    ({"frame_rate_hz": None}, Refusal.FRAME_RATE_UNKNOWN),
]


def reason(**changes: Any) -> Refusal | None:
    found = eligibility(changed(GOOD_HEADER, **changes), X3D_S)
    return found.reason if isinstance(found, Refused) else None


@pytest.mark.parametrize(("spec", "numbers"), [(X3D_S, tuple(range(16, 47, 2))), (RESNET_2D, (16, 24, 32, 40))])
def test_a_good_cine_is_scored_on_the_specs_frames(spec: Any, numbers: tuple[int, ...]):
    assert eligibility(GOOD_HEADER, spec) == Eligible(frame_numbers=numbers)


@pytest.mark.parametrize(("changes", "expected"), BROKEN)
def test_each_rule_has_its_own_reason(changes: dict[str, Any], expected: Refusal):
    assert reason(**changes) is expected


def test_the_first_broken_rule_names_the_reason():
    for index in range(len(BROKEN)):
        changes: dict[str, Any] = {}
        for change, _ in reversed(BROKEN[index:]):
            changes |= change
        assert reason(**changes) is BROKEN[index][1]


@pytest.mark.parametrize("uid", sorted(ANGIOGRAPHY_CLASSES))
def test_every_angiography_class_is_accepted_whatever_the_modality_says(uid: str):
    assert reason(sop_class_uid=uid, modality="") is None


@pytest.mark.parametrize("uid", sorted(SECONDARY_CAPTURE_CLASSES))
@pytest.mark.parametrize(("modality", "expected"), [("XA", None), ("RF", None), ("US", Refusal.NOT_A_CINE_ANGIOGRAM)])
def test_secondary_capture_needs_an_x_ray_modality(uid: str, modality: str, expected: Refusal | None):
    assert reason(sop_class_uid=uid, modality=modality) is expected


@pytest.mark.parametrize("modality", ["XA", "CT", ""])
def test_a_ct_is_none_even_if_it_calls_itself_xa(modality: str):
    assert reason(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", modality=modality) is Refusal.NOT_A_CINE_ANGIOGRAM


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (None, 512, Refusal.INVALID_GEOMETRY),
        (512, 0, Refusal.INVALID_GEOMETRY),
        (8192, 8192, None),
        (8193, 1, Refusal.TOO_LARGE),
        (1, 65535, Refusal.TOO_LARGE),
    ],
)
def test_geometry_is_positive_and_bounded(rows: int | None, columns: int | None, expected: Refusal | None):
    assert reason(rows=rows, columns=columns) is expected


@pytest.mark.parametrize("photometric", ["RGB", "PALETTE COLOR", "YBR_FULL_422", ""])
def test_colour_is_refused_with_its_reason(photometric: str):
    assert reason(photometric=photometric) is Refusal.UNSUPPORTED_PHOTOMETRIC


@pytest.mark.parametrize(
    ("allocated", "stored", "good"),
    [
        (8, 8, True),
        (16, 10, True),
        (16, 16, True),
        (8, 9, False),
        (16, 0, False),
        (1, 1, False),
        (None, None, False),
        (12, 12, False),
    ],
)
def test_bits_are_8_or_16_and_the_stored_ones_fit(allocated: int | None, stored: int | None, good: bool):
    assert (reason(bits_allocated=allocated, bits_stored=stored) is None) is good


@pytest.mark.parametrize("uid", sorted(SYNTAXES))
def test_every_syntax_of_the_table_is_decodable(uid: str):
    assert decodable(changed(GOOD_HEADER, transfer_syntax_uid=uid)) is None


@pytest.mark.parametrize(
    ("hz", "good"),
    [(14.5, True), (15.5, True), (14.499999999999998, True), (15.15, True), (14.49, False), (15.51, False), (7.5, False)],
)
def test_the_frame_rate_is_15_within_a_half(hz: float, good: bool):
    assert reason(frame_rate_hz=hz) is (None if good else Refusal.FRAME_RATE_OUT_OF_RANGE)


@pytest.mark.parametrize("source", list(FrameRateSource))
def test_low_confidence_sources_and_conflicts_are_eligible(source: FrameRateSource):
    assert reason(frame_rate_source=source, frame_rate_conflict=True) is None


@pytest.mark.parametrize(
    ("frames", "expected"), [(47, None), (46, Refusal.TOO_SHORT), (1, Refusal.TOO_SHORT), (None, Refusal.INVALID_FRAME_COUNT)]
)
def test_the_whole_window_must_exist(frames: int | None, expected: Refusal | None):
    assert reason(frames=frames) is expected


def test_padding_repeats_the_last_frame():
    found = eligibility(changed(GOOD_HEADER, frames=20), X3D_S, "pad")
    assert found == Eligible(frame_numbers=(16, 18, 20, *[20] * 13))


def test_padding_needs_the_windows_first_frame_and_changes_no_long_cine():
    short = eligibility(changed(GOOD_HEADER, frames=15), X3D_S, "pad")
    assert isinstance(short, Refused)
    assert short.reason is Refusal.TOO_SHORT
    assert eligibility(GOOD_HEADER, X3D_S, "pad") == eligibility(GOOD_HEADER, X3D_S)
