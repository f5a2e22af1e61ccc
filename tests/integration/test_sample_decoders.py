"""Our decoders against other people's: exactly where lossless, within one grey level where lossy."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame
from pydicom.sequence import Sequence as Items

from dicomqc.core.cine import Eligible, FrameRateSource, Refusal, Refused
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.elements import Walk
from dicomqc.sample.encapsulation import frame_fragments, read_fragments
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.limits import DEFAULT_LIMITS
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.source import open_source
from dicomqc.sample.spec import X3D_S
from dicomqc.sample.voi import StoredValues, Window
from tests.support.sample_cines import (
    BASELINE,
    ENHANCED_XA,
    EXACT_CODED,
    EXTENDED,
    JPEG_LS,
    LOSSLESS_SV1,
    LOSSY,
    RLE,
    encode,
    moving_clip,
    nested,
    write_cine,
)
from tests.support.shared import OTHER, XA, missing, require

# pynetdicom installs programs of the same names into a virtual environment.
DCMDJPEG = Path("/usr/bin/dcmdjpeg")
# Of the shared files, whose pixels are grey and whole; the last two with lossy coding, where pydicom has a decoder.
EXACT = [
    *("bad_sequence.dcm", "ct_2f_bot_rle.dcm", "ct_2f_fragmented_no_bot_jpegls.dcm", "ct_small.dcm", "deflated.dcm"),
    *("enhanced_mr_10f.dcm", "fuzz_no_preamble.dcm", "fuzz_uid_65chars.dcm", "j2k_pixelrep_mismatch.dcm"),
    *("mr_small_bigendian.dcm", "mr_small_implicit.dcm"),
    *("xa1_j2kr.dcm", "xa1_jlsl.dcm", "xa1_jpll.dcm", "xa1_rle.dcm", "xa1_unc.dcm"),
    *(f"ge_dl_phantom_im{number}.dcm" for number in (1, 2, 4, 5, 7)),
]
NEAR = ["philips_integris_h_left_75f_15fps.dcm"]
# Judged by a test of its own: pydicom has no decoder for the one, and reads the other as an empty data set.
APART = ["xa1_jply_12bit.dcm", "enhanced_mr_10f_j2k_too_short.dcm"]
WITHOUT_HEADER = ["fuzz_deflate_corrupt.dcm", "meta_missing_transfer_syntax.dcm", "no_file_meta.dcm", "palette_ot.dcm"]
REFUSED = {
    **dict.fromkeys(["bad_vr.dcm", "rtdose_15f.dcm", "seg_1f.dcm"], Refusal.UNSUPPORTED_BITS),
    **dict.fromkeys(["us_2f_rle.dcm", "us_cine_30f_jpeg.dcm"], Refusal.UNSUPPORTED_PHOTOMETRIC),
    **dict.fromkeys(["us_cine_8f_fragmented_no_bot.dcm", "sc_rgb_2f.dcm"], Refusal.UNSUPPORTED_PHOTOMETRIC),
    "sc_rgb_odd_pixels.dcm": Refusal.UNSUPPORTED_PHOTOMETRIC,
    **dict.fromkeys(["dicomdir.dcm", "ecg_waveform_no_pixels.dcm"], Refusal.NO_PIXEL_DATA),
    **dict.fromkeys(["rtplan_no_pixels.dcm", "sr_no_pixels.dcm"], Refusal.NO_PIXEL_DATA),
    **dict.fromkeys(["mr_truncated.dcm", "fuzz_buf_half.dcm", "fuzz_mf_nf_million.dcm"], Refusal.TRUNCATED),
    "fuzz_mf_nf_zero.dcm": Refusal.INVALID_FRAME_COUNT,
    "fuzz_rows_zero.dcm": Refusal.INVALID_GEOMETRY,
}


def every_frame(path: Path) -> np.ndarray:
    inspected = read_header(path)
    assert isinstance(inspected, Inspected), inspected
    frames = decode_frames(path, inspected, range(1, inspected.shape[2] + 1))
    assert not isinstance(frames, Refused), frames
    return frames


def shared(name: str) -> Path:
    return require(OTHER / name if (OTHER / name).exists() else XA / name)


def difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int(np.abs(ours.astype(int) - theirs.reshape(ours.shape).astype(int)).max())


def libjpeg() -> Callable[[bytes], np.ndarray]:
    try:
        from libjpeg import decode
    except ImportError:
        missing("pylibjpeg-libjpeg")
        raise
    return decode


def judged(path: Path, syntax: str, bits: int, clip: np.ndarray) -> np.ndarray:
    """The pixels by pydicom and its plugins; by pylibjpeg itself where pydicom refuses, which is JPEG Extended of 12 bits."""
    if syntax == EXTENDED and bits > 8:
        decode = libjpeg()
        return np.stack([decode(encode(frame, syntax, bits)) for frame in clip])
    return pydicom.dcmread(path).pixel_array


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXACT)
def test_every_frame_of_the_lossless_shared_files_equals_pydicoms(name: str):
    assert difference(every_frame(shared(name)), pydicom.dcmread(shared(name), force=True).pixel_array) == 0


@pytest.mark.parametrize(("name", "reason"), sorted(REFUSED.items()))
def test_pixels_that_are_not_decoded_have_their_own_reason_whatever_the_object_is(name: str, reason: Refusal):
    path = shared(name)
    inspected = read_header(path)
    assert isinstance(inspected, Inspected)
    refused = decode_frames(path, inspected, (1,))
    assert isinstance(refused, Refused)
    assert (refused.reason, bool(refused.detail)) == (reason, True)


def test_no_shared_file_is_left_out():
    found = {path.name for folder in (OTHER, XA) for path in require(folder).glob("*.dcm")}
    assert found == {*EXACT, *NEAR, *APART, *WITHOUT_HEADER, *REFUSED}


@pytest.mark.parametrize("name", NEAR)
def test_every_frame_of_the_lossy_shared_files_is_within_one_of_pydicoms(name: str):
    assert difference(every_frame(shared(name)), pydicom.dcmread(shared(name)).pixel_array) <= 1


def test_12_bit_jpeg_is_within_one_of_dcmtks(tmp_path: Path):
    if not DCMDJPEG.exists():
        missing("DCMTK's dcmdjpeg")
    path, out = shared("xa1_jply_12bit.dcm"), tmp_path / "a.dcm"
    subprocess.run([DCMDJPEG, path, out], check=True, capture_output=True)
    assert difference(every_frame(path), pydicom.dcmread(out).pixel_array) <= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", [*EXACT_CODED, *LOSSY])
def test_decoders_agree_in_every_syntax_and_depth(tmp_path: Path, syntax: str, bits: int):
    bits = 8 if syntax == BASELINE else bits
    clip = moving_clip(2, 64, bits)
    path = write_cine(tmp_path / "a", clip, syntax=syntax, bits=bits)
    # Theirs may ring beyond the stored bits; ours are clipped to them.
    theirs = np.clip(judged(path, syntax, bits, clip), 0, (1 << bits) - 1)
    assert difference(every_frame(path), theirs) <= (1 if syntax in LOSSY else 0)


@pytest.mark.filterwarnings("ignore")
def test_fragments_without_an_offset_table_are_pydicoms_frames_where_the_colour_is_refused():
    path = shared("us_cine_8f_fragmented_no_bot.dcm")
    inspected = read_header(path)
    assert isinstance(inspected, Inspected)
    assert inspected.pixels is not None
    data = pydicom.dcmread(path).PixelData
    with open_source(path, DEFAULT_LIMITS, buffered=False) as source:
        walk = Walk(source.walk.stream, source.walk.size, DEFAULT_LIMITS)
        places = frame_fragments(walk, at=inspected.pixels.at, frames=8, numbers=range(1, 9), marked=True)
        assert max(len(place) for place in places.values()) > 1
        for number in range(1, 9):
            theirs = get_frame(data, number - 1, number_of_frames=8)
            assert read_fragments(walk, places[number]).rstrip(b"\0") == theirs.rstrip(b"\0")


@pytest.mark.parametrize("syntax", [LOSSLESS_SV1, JPEG_LS, RLE])
@pytest.mark.parametrize("has_table", [True, False])
def test_an_enhanced_xa_cine_of_several_fragments_a_frame_is_sampled(tmp_path: Path, syntax: str, has_table: bool):
    """Rate, window and angles come from the functional groups; RLE frames are one fragment by PS3.5."""
    clip = moving_clip(48, 40, 12)
    dates = [f"20260102120000.{index * 66667 % 1_000_000:06d}" for index in range(15)]
    frames = [nested(FrameContentSequence=Items([nested(FrameAcquisitionDateTime=date)])) for date in dates]
    groups = nested(FrameVOILUTSequence=Items([nested(WindowCenter="2000", WindowWidth="1500")]))
    path = write_cine(
        tmp_path / "a",
        clip,
        syntax=syntax,
        bits=12,
        offset_table=has_table,
        fragments_per_frame=1 if syntax == RLE else 3,
        without=["FrameTime", "FrameIncrementPointer"],
        SOPClassUID=ENHANCED_XA,
        SharedFunctionalGroupsSequence=Items([groups]),
        PerFrameFunctionalGroupsSequence=Items(frames),
    )
    sampled = sample_cine(path, X3D_S)
    assert sampled.decision == Eligible(frame_numbers=tuple(range(16, 47, 2)))
    assert sampled.header is not None
    assert sampled.header.frame_rate_source is FrameRateSource.ACQUISITION_DATE_TIMES
    stored = StoredValues(bits_allocated=16, bits_stored=12, signed=False, inverted=False)
    grey = to_display(clip[15:46:2], display_lut(Window(centre=2000, width=1500), stored))
    assert sampled.frames is not None
    assert np.array_equal(sampled.frames, resize(grey, 160))
