"""A header that is eligible in every respect, for tests that break one rule at a time."""

from dataclasses import replace
from typing import Any

from dicomqc.core.cine import CineHeader, FrameRateSource

GOOD_HEADER = CineHeader(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.12.1",
    sop_instance_uid="1.2.3",
    study_instance_uid="1.2",
    series_instance_uid="1.2.1",
    transfer_syntax_uid="1.2.840.10008.1.2.4.70",
    modality="XA",
    frames=75,
    rows=512,
    columns=512,
    samples_per_pixel=1,
    bits_allocated=8,
    bits_stored=8,
    signed=False,
    photometric="MONOCHROME2",
    frame_rate_hz=15.0,
    frame_rate_source=FrameRateSource.FRAME_TIME,
    frame_rate_conflict=False,
    subtracted=False,
    has_pixel_data=True,
    primary_angle_deg=None,
    secondary_angle_deg=None,
    manufacturer="",
    model_name="",
)


def changed(header: CineHeader, **facts: Any) -> CineHeader:
    """`header` with other facts."""
    return replace(header, **facts)
