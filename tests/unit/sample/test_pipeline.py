"""One file to frames: the steps in their order, and never an exception for content."""

from pathlib import Path

import numpy as np
import pytest

from dicomqc.core.cine import Eligible, Refusal, Refused
from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.voi import StoredValues, Window
from tests.support.sample_cines import EXPLICIT, LOSSLESS_SV1, moving_clip, write_cine

SPEC = FrameSpec(kind="3d", first=2, window=4, step=2, size=12)


@pytest.mark.parametrize("syntax", [EXPLICIT, LOSSLESS_SV1])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_frames_are_decoded_shown_and_resized_in_that_order(tmp_path: Path, syntax: str, photometric: str):
    clip = moving_clip(6, 32, 12)
    window = {"WindowCenter": "2000", "WindowWidth": "1500", "PhotometricInterpretation": photometric}
    sampled = sample_cine(write_cine(tmp_path / "a", clip, syntax=syntax, bits=12, **window), SPEC)
    assert sampled.decision == Eligible(frame_numbers=(2, 4))
    stored = StoredValues(bits_allocated=16, bits_stored=12, signed=False, inverted=photometric == "MONOCHROME1")
    expected = resize(to_display(clip[[1, 3]], display_lut(Window(centre=2000, width=1500), stored)), 12)
    assert sampled.frames is not None
    assert np.array_equal(sampled.frames, expected)
    assert sampled.header is not None
    assert sampled.header.frames == 6
    assert sampled.seconds_decode > 0


def test_frames_are_read_only(tmp_path: Path):
    frames = sample_cine(write_cine(tmp_path / "a", moving_clip(6, 16)), SPEC).frames
    assert frames is not None
    assert (frames.shape, frames.dtype) == ((2, 12, 12), np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        frames[0, 0, 0] = 1


def test_a_short_cine_is_refused_or_padded_with_its_last_frame(tmp_path: Path):
    path = write_cine(tmp_path / "a", moving_clip(3, 16))
    refused = sample_cine(path, SPEC)
    assert isinstance(refused.decision, Refused)
    assert refused.decision.reason is Refusal.TOO_SHORT
    assert (refused.frames, refused.header is None) == (None, False)
    padded = sample_cine(path, SPEC, short="pad")
    assert padded.decision == Eligible(frame_numbers=(2, 3))
    assert padded.frames is not None


def test_damaged_pixels_are_a_refusal_that_keeps_the_header(tmp_path: Path):
    path = write_cine(tmp_path / "a", moving_clip(6, 16), syntax=LOSSLESS_SV1, coded=[b"\xff\xd8bad\xff\xd9"] * 6)
    sampled = sample_cine(path, SPEC)
    assert isinstance(sampled.decision, Refused)
    assert sampled.decision.reason is Refusal.DAMAGED_PIXEL_DATA
    assert sampled.frames is None
    assert sampled.header is not None


def test_what_is_no_dicom_has_no_header(tmp_path: Path):
    (tmp_path / "a").write_text("hello")
    sampled = sample_cine(tmp_path / "a", SPEC)
    assert sampled.header is None
    assert isinstance(sampled.decision, Refused)
    assert sampled.decision.reason is Refusal.NOT_DICOM
