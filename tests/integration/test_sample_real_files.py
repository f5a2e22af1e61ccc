"""The real angiograms and the odd files of the shared data: what becomes of each, and pydicom as a second opinion."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame

from dicomqc.core.cine import Eligible, FrameRateSource, Refusal, Refused
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.elements import Walk
from dicomqc.sample.encapsulation import frame_fragments, read_fragments
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.limits import DEFAULT_LIMITS
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.source import open_source
from dicomqc.sample.spec import RESNET_2D, X3D_S
from tests.support.shared import LEFT_CORONARY, OTHER, XA, require

GE = [f"ge_dl_phantom_im{number}.dcm" for number in (1, 2, 4, 5, 7)]
CODED_XA = ["xa1_jpll.dcm", "xa1_j2kr.dcm", "xa1_jlsl.dcm", "xa1_rle.dcm"]
NOT_AN_ANGIOGRAM = [
    "bad_sequence.dcm",
    "bad_vr.dcm",
    "ct_2f_bot_rle.dcm",
    "ct_2f_fragmented_no_bot_jpegls.dcm",
    "ct_small.dcm",
    "deflated.dcm",
    "dicomdir.dcm",
    "ecg_waveform_no_pixels.dcm",
    "enhanced_mr_10f.dcm",
    "enhanced_mr_10f_j2k_too_short.dcm",
    "fuzz_buf_half.dcm",
    "fuzz_mf_nf_million.dcm",
    "fuzz_mf_nf_zero.dcm",
    "fuzz_no_preamble.dcm",
    "fuzz_rows_zero.dcm",
    "fuzz_uid_65chars.dcm",
    "j2k_pixelrep_mismatch.dcm",
    "mr_small_bigendian.dcm",
    "mr_small_implicit.dcm",
    "mr_truncated.dcm",
    "rtdose_15f.dcm",
    "rtplan_no_pixels.dcm",
    "sc_rgb_2f.dcm",
    "sc_rgb_odd_pixels.dcm",
    "seg_1f.dcm",
    "sr_no_pixels.dcm",
    "us_2f_rle.dcm",
    "us_cine_30f_jpeg.dcm",
    "us_cine_8f_fragmented_no_bot.dcm",
]
OUTCOMES = {
    **dict.fromkeys(NOT_AN_ANGIOGRAM, Refusal.NOT_A_CINE_ANGIOGRAM),
    **dict.fromkeys([*CODED_XA, "xa1_jply_12bit.dcm", "xa1_unc.dcm"], Refusal.TOO_SHORT),
    "fuzz_deflate_corrupt.dcm": Refusal.UNREADABLE_HEADER,
    "meta_missing_transfer_syntax.dcm": Refusal.UNREADABLE_HEADER,
    "no_file_meta.dcm": Refusal.NOT_DICOM,
    "palette_ot.dcm": Refusal.NOT_DICOM,
}
HAS_HEADER = {Refusal.NOT_A_CINE_ANGIOGRAM, Refusal.TOO_SHORT}


def inspect(path: Path) -> Inspected:
    found = read_header(require(path))
    assert isinstance(found, Inspected), found
    return found


def first_frame(name: str) -> np.ndarray:
    inspected = inspect(OTHER / name)
    frames = decode_frames(OTHER / name, inspected, (1,))
    assert not isinstance(frames, Refused), frames
    return frames[0]


def test_the_real_left_coronary_run_is_sampled_on_the_papers_frames():
    sampled = sample_cine(require(LEFT_CORONARY), X3D_S)
    assert sampled.decision == Eligible(frame_numbers=tuple(range(16, 47, 2)))
    header = sampled.header
    assert header is not None
    assert (header.frames, header.frame_rate_source) == (75, FrameRateSource.FRAME_TIME)
    assert header.frame_rate_hz == pytest.approx(15.0, abs=1e-3)
    assert (header.primary_angle_deg, header.secondary_angle_deg) == (40.1, 27.0)
    assert sampled.frames is not None
    assert (sampled.frames.shape, sampled.frames.dtype) == ((16, 160, 160), np.uint8)
    assert 60 < sampled.frames.mean() < 180
    assert all(frame.std() > 10 for frame in sampled.frames)


def test_the_real_run_gives_2d_models_the_same_picture_larger():
    sampled = sample_cine(require(LEFT_CORONARY), RESNET_2D)
    small = sample_cine(LEFT_CORONARY, X3D_S)
    assert sampled.frames is not None
    assert small.frames is not None
    assert sampled.frames.shape == (4, 299, 299)
    # Frames 16, 24, 32 and 40 are every fourth of 16, 18, … 46.
    assert np.abs(sampled.frames.mean(axis=(1, 2)) - small.frames[[0, 4, 8, 12]].mean(axis=(1, 2))).max() < 0.5


def test_every_frame_of_the_real_run_is_the_one_that_pydicom_finds():
    ds = pydicom.dcmread(require(LEFT_CORONARY))
    inspected = inspect(LEFT_CORONARY)
    assert inspected.pixels is not None
    with open_source(LEFT_CORONARY, DEFAULT_LIMITS) as source:
        walk = Walk(source.walk.stream, source.walk.size, DEFAULT_LIMITS)
        places = frame_fragments(walk, at=inspected.pixels.at, frames=75, numbers=range(1, 76), marked=True)
        for number in range(1, 76):
            theirs = get_frame(ds.PixelData, number - 1, number_of_frames=75)
            assert read_fragments(walk, places[number]).rstrip(b"\0") == theirs.rstrip(b"\0")


@pytest.mark.parametrize("name", GE)
def test_the_ge_runs_are_too_short_and_nothing_else(name: str):
    sampled = sample_cine(require(XA / name), X3D_S)
    assert isinstance(sampled.decision, Refused)
    assert sampled.decision.reason is Refusal.TOO_SHORT
    assert sampled.header is not None
    assert sampled.header.frame_rate_hz == pytest.approx(15.0, abs=1e-3)


def test_the_longest_ge_run_can_be_padded():
    sampled = sample_cine(require(XA / "ge_dl_phantom_im5.dcm"), X3D_S, short="pad")
    assert sampled.decision == Eligible(frame_numbers=(16,) * 16)
    assert sampled.frames is not None
    assert np.array_equal(sampled.frames[0], sampled.frames[15])


@pytest.mark.parametrize(("name", "reason"), sorted(OUTCOMES.items()))
def test_every_odd_file_has_its_stated_reason(name: str, reason: Refusal):
    decision = sample_cine(require(OTHER / name), X3D_S).decision
    assert isinstance(decision, Refused)
    assert decision.reason is reason
    assert decision.detail


def test_no_odd_file_is_left_out():
    assert {path.name for path in require(OTHER).glob("*.dcm")} == set(OUTCOMES)


@pytest.mark.parametrize("name", CODED_XA)
def test_lossless_decoders_agree_exactly_with_the_uncompressed_original(name: str):
    assert np.array_equal(first_frame(name), first_frame("xa1_unc.dcm"))


def test_the_uncompressed_original_is_what_pydicom_reads():
    assert np.array_equal(first_frame("xa1_unc.dcm"), pydicom.dcmread(OTHER / "xa1_unc.dcm").pixel_array)


def test_12_bit_jpeg_is_near_the_original():
    difference = first_frame("xa1_jply_12bit.dcm").astype(int) - first_frame("xa1_unc.dcm").astype(int)
    assert np.abs(difference).mean() < 8


def test_a_codestream_of_the_other_sign_is_read_as_pydicom_reads_it():
    name = "j2k_pixelrep_mismatch.dcm"
    frame = first_frame(name)
    assert frame.dtype == np.int16
    assert (frame.min(), frame[-1, -1]) == (-2000, -2000)


@pytest.mark.parametrize(
    "name", ["mr_small_bigendian.dcm", "mr_small_implicit.dcm", "deflated.dcm", "ct_small.dcm", "ct_2f_bot_rle.dcm"]
)
def test_native_and_rle_frames_of_other_modalities_equal_pydicoms(name: str):
    theirs = pydicom.dcmread(require(OTHER / name)).pixel_array
    assert np.array_equal(first_frame(name), theirs.reshape(-1, *theirs.shape[-2:])[0])


def test_fragments_without_an_offset_table_are_put_together():
    frames = decode_frames(
        require(OTHER / "ct_2f_fragmented_no_bot_jpegls.dcm"), inspect(OTHER / "ct_2f_fragmented_no_bot_jpegls.dcm"), (1, 2)
    )
    assert not isinstance(frames, Refused)
    assert frames.shape == (2, 512, 512)
    assert not np.array_equal(frames[0], frames[1])


def test_truncated_pixel_data_are_said_to_be_truncated():
    for name in ("mr_truncated.dcm", "fuzz_buf_half.dcm", "fuzz_mf_nf_million.dcm"):
        frames = decode_frames(require(OTHER / name), inspect(OTHER / name), (1,))
        assert isinstance(frames, Refused), name
        assert frames.reason is Refusal.TRUNCATED, name


def test_a_file_that_lacks_only_its_last_delimiter_keeps_its_last_frame():
    path = require(OTHER / "enhanced_mr_10f_j2k_too_short.dcm")
    frames = decode_frames(path, inspect(path), (9, 10))
    assert not isinstance(frames, Refused)
    assert frames[1].std() > 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*(n for n, reason in OUTCOMES.items() if reason in HAS_HEADER), *GE, LEFT_CORONARY.name])
def test_headers_say_what_pydicom_says(name: str):
    path = OTHER / name if (OTHER / name).exists() else XA / name
    inspected = inspect(path)
    ds, header = pydicom.dcmread(path, stop_before_pixels=True, force=True), inspected.header
    assert header.sop_instance_uid == ds.get("SOPInstanceUID", "")
    assert header.series_instance_uid == ds.get("SeriesInstanceUID", "")
    assert header.modality == ds.get("Modality", "")
    assert header.manufacturer == str(ds.get("Manufacturer", "") or "").replace("\n", "")
    assert (header.rows, header.columns) == (ds.get("Rows"), ds.get("Columns"))
    assert (header.bits_allocated, header.bits_stored) == (ds.get("BitsAllocated"), ds.get("BitsStored"))
    assert inspected.high_bit == ds.get("HighBit")
    assert header.photometric == ds.get("PhotometricInterpretation", "")
    # pydicom reads a J2K file without its last delimiter as an empty data set; the pixel data are there.
    whole = pydicom.dcmread(path, force=True)
    assert header.has_pixel_data is ("PixelData" in whole or name == "enhanced_mr_10f_j2k_too_short.dcm")


def test_the_shared_files_are_left_alone():
    digest = hashlib.sha256(require(LEFT_CORONARY).read_bytes()).hexdigest()
    sample_cine(LEFT_CORONARY, X3D_S)
    assert hashlib.sha256(LEFT_CORONARY.read_bytes()).hexdigest() == digest
    assert digest.startswith("3b7b2f74b1d5")
