"""The sampled frames of a cine in every transfer syntax, and a reason for everything that is not one."""

import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from dicomqc.core.cine import Refusal, Refused
from dicomqc.core.errors import ConfigError
from dicomqc.sample import codecs
from dicomqc.sample.decode import check_codecs, decode_frames
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.limits import DEFAULT_LIMITS, Limits
from dicomqc.sample.syntaxes import SYNTAXES
from tests.support.sample_cines import (
    BASELINE,
    BIG_ENDIAN,
    EXACT_CODED,
    EXPLICIT,
    HTJ2K,
    J2K,
    JPEG_LS,
    LOSSLESS_SV1,
    LOSSY,
    NATIVE,
    RLE,
    encode,
    moving_clip,
    write_cine,
)

NUMBERS = (1, 3, 4)
BITS_AND_SIGN = [(8, False), (12, False), (16, True)]


def decoded(path: Path, numbers: tuple[int, ...] = NUMBERS, limits: Limits = DEFAULT_LIMITS) -> Any:
    inspected = read_header(path)
    assert isinstance(inspected, Inspected), inspected
    return decode_frames(path, inspected, numbers, limits)


def refusal(path: Path, numbers: tuple[int, ...] = NUMBERS, limits: Limits = DEFAULT_LIMITS) -> Refusal:
    found = decoded(path, numbers, limits)
    assert isinstance(found, Refused)
    return found.reason


def picked(clip: np.ndarray, numbers: tuple[int, ...] = NUMBERS) -> np.ndarray:
    return clip[[number - 1 for number in numbers]]


@pytest.mark.parametrize(("bits", "signed"), BITS_AND_SIGN)
@pytest.mark.parametrize("syntax", [*NATIVE, *EXACT_CODED])
def test_lossless_syntaxes_are_exact_at_every_depth_and_sign(tmp_path: Path, syntax: str, bits: int, signed: bool):
    clip = moving_clip(4, 12, bits, signed=signed)
    frames = decoded(write_cine(tmp_path / "a", clip, syntax=syntax, bits=bits))
    assert frames.dtype == clip.dtype
    assert frames.dtype.isnative
    assert np.array_equal(frames, picked(clip))


@pytest.mark.parametrize("syntax", LOSSY)
def test_lossy_syntaxes_are_near(tmp_path: Path, syntax: str):
    bits = 8 if syntax == BASELINE else 12
    clip = moving_clip(4, 24, bits)
    frames = decoded(write_cine(tmp_path / "a", clip, syntax=syntax, bits=bits))
    assert np.abs(frames.astype(int) - picked(clip)).max() <= 0.03 * (1 << bits)


def test_the_table_of_syntaxes_is_what_was_tried():
    assert set(SYNTAXES) == {*NATIVE, *EXACT_CODED, *LOSSY}


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN, RLE, LOSSLESS_SV1])
def test_bits_above_the_stored_ones_are_masked(tmp_path: Path, syntax: str):
    clip = moving_clip(4, 12, 10)
    overlay = (clip | 0x4000).astype(np.uint16)
    pixels = {"coded": [encode(frame, syntax, 16) for frame in overlay]} if syntax in EXACT_CODED else {}
    frames = decoded(write_cine(tmp_path / "a", overlay, syntax=syntax, bits=10, **pixels))
    assert np.array_equal(frames, picked(clip))


def test_ringing_beyond_the_stored_bits_is_clipped_and_not_wrapped(tmp_path: Path):
    clip = np.full((4, 16, 16), 4095, dtype=np.uint16)
    clip[:, 5:9, 3:11] = 0
    coded = [imagecodecs.jpeg8_encode(frame, level=30, bitspersample=12) for frame in clip]
    assert max(imagecodecs.jpeg8_decode(frame).max() for frame in coded) == 4095
    ringing = np.minimum(clip, 1023)
    coded = [imagecodecs.jpeg8_encode(frame, level=30, bitspersample=12) for frame in ringing]
    assert max(imagecodecs.jpeg8_decode(frame).max() for frame in coded) > 1023
    frames = decoded(write_cine(tmp_path / "a", ringing, syntax="1.2.840.10008.1.2.4.51", bits=10, coded=coded))
    assert frames.max() == 1023
    assert frames[ringing[:3] == 1023].min() > 600


@pytest.mark.parametrize("signed", [False, True])
def test_stored_bits_above_the_lowest_are_shifted_down(tmp_path: Path, signed: bool):
    clip = moving_clip(4, 12, 12, signed=signed)
    raised = (clip.view(np.uint16) << 4 | 0x5).astype(np.uint16).view(clip.dtype)
    assert np.array_equal(decoded(write_cine(tmp_path / "a", raised, bits=12, HighBit=15)), picked(clip))
    assert refusal(write_cine(tmp_path / "b", clip, bits=12, HighBit=16)) is Refusal.UNSUPPORTED_BITS
    assert refusal(write_cine(tmp_path / "c", clip, bits=12, HighBit=10)) is Refusal.UNSUPPORTED_BITS


def test_big_endian_words_of_8_bits_are_swapped_in_pairs_counted_from_the_start(tmp_path: Path):
    clip = moving_clip(5, 7)[:, :, :9].copy()
    plain = clip.tobytes() + b"\0"
    swapped = np.frombuffer(plain, dtype=np.uint16).byteswap().tobytes()
    path = write_cine(tmp_path / "a", clip, syntax=BIG_ENDIAN, pixel_data=swapped)
    data = path.read_bytes()
    at = data.index(b"\x7f\xe0\x00\x10OB")
    path.write_bytes(data[:at] + b"\x7f\xe0\x00\x10OW" + data[at + 6 :])
    assert np.array_equal(decoded(path, (1, 2, 5)), picked(clip, (1, 2, 5)))


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_LS])
def test_repeated_numbers_repeat_the_frame_in_the_order_asked(tmp_path: Path, syntax: str):
    clip = moving_clip(4, 12)
    assert np.array_equal(decoded(write_cine(tmp_path / "a", clip, syntax=syntax), (2, 4, 4, 1, 4)), clip[[1, 3, 3, 0, 3]])


@pytest.mark.parametrize("syntax", [EXPLICIT, J2K])
@pytest.mark.parametrize("numbers", [(), (0,), (1, 5), (-1,)])
def test_a_number_that_is_no_frame_is_refused(tmp_path: Path, syntax: str, numbers: tuple[int, ...]):
    assert refusal(write_cine(tmp_path / "a", moving_clip(4, 12), syntax=syntax), numbers) is Refusal.INVALID_FRAME_COUNT


@pytest.mark.parametrize("syntax", [EXPLICIT, *EXACT_CODED])
def test_a_million_declared_frames_are_truncated_and_cost_nothing(tmp_path: Path, syntax: str):
    path = write_cine(tmp_path / "a", moving_clip(4, 12), syntax=syntax, NumberOfFrames="1000000")
    assert refusal(path, (1, 999_999)) is Refusal.TRUNCATED


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN, RLE, BASELINE, HTJ2K])
def test_a_file_cut_inside_its_pixel_data_is_truncated(tmp_path: Path, syntax: str):
    path = write_cine(tmp_path / "a", moving_clip(4, 12), syntax=syntax)
    whole = path.read_bytes()
    for cut in (len(whole) - 9, len(whole) - 200):
        path.write_bytes(whole[:cut])
        assert refusal(path, (1,)) is Refusal.TRUNCATED


def test_a_frame_of_other_rows_columns_or_depth_than_the_data_sets_is_damaged(tmp_path: Path):
    clip = moving_clip(4, 12)
    for other in (moving_clip(4, 13), clip[:, :, :12].copy()):
        coded = [encode(frame, LOSSLESS_SV1, 8) for frame in other]
        assert refusal(write_cine(tmp_path / "a", clip, syntax=LOSSLESS_SV1, coded=coded)) is Refusal.DAMAGED_PIXEL_DATA
    deep = [encode(frame, LOSSLESS_SV1, 12) for frame in moving_clip(4, 12, 12)]
    assert refusal(write_cine(tmp_path / "b", clip, syntax=LOSSLESS_SV1, coded=deep)) is Refusal.DAMAGED_PIXEL_DATA
    shallow = [encode(frame, LOSSLESS_SV1, 8) for frame in clip]
    path = write_cine(tmp_path / "c", clip.astype(np.uint16), bits=12, syntax=LOSSLESS_SV1, coded=shallow)
    assert refusal(path) is Refusal.DAMAGED_PIXEL_DATA


def test_colour_inside_a_grey_data_set_is_damaged(tmp_path: Path):
    coded = [imagecodecs.jpeg8_encode(np.repeat(frame[..., None], 3, axis=2)) for frame in moving_clip(4, 12)]
    assert refusal(write_cine(tmp_path / "a", moving_clip(4, 12), syntax=BASELINE, coded=coded)) is Refusal.DAMAGED_PIXEL_DATA


@pytest.mark.parametrize("syntax", [*EXACT_CODED, BASELINE])
def test_a_frame_that_stops_early_or_is_none_at_all_is_damaged(tmp_path: Path, syntax: str):
    clip = moving_clip(4, 24)
    whole = encode(clip[0], syntax, 8)
    for bad in (whole[: len(whole) // 2], b"\0\0", b"garbage!" * 20):
        path = write_cine(tmp_path / "a", clip, syntax=syntax, coded=[bad, whole, whole, whole])
        assert refusal(path, (1,)) is Refusal.DAMAGED_PIXEL_DATA
        assert not isinstance(decoded(path, (2,)), Refused)


def test_a_fragment_larger_than_any_coding_makes_it_is_not_read(tmp_path: Path):
    bomb = encode(moving_clip(1, 12)[0], LOSSLESS_SV1, 8)[:-2] + bytes(1_100_000) + b"\xff\xd9"
    path = write_cine(tmp_path / "a", moving_clip(1, 12), syntax=LOSSLESS_SV1, coded=[bomb])
    assert refusal(path, (1,)) is Refusal.DAMAGED_PIXEL_DATA


def test_the_pixels_kind_and_the_syntax_must_agree(tmp_path: Path):
    clip = moving_clip(4, 12)
    native = write_cine(tmp_path / "a", clip).read_bytes()
    coded = write_cine(tmp_path / "b", clip, syntax=JPEG_LS).read_bytes()
    named, other = EXPLICIT.encode() + b"\0", JPEG_LS.encode()
    for data, wrong in (
        (native.replace(b"\x14\0" + named, b"\x16\0" + other), "c"),
        (coded.replace(b"\x16\0" + other, b"\x14\0" + named), "d"),
    ):
        (tmp_path / wrong).write_bytes(data)
        assert refusal(tmp_path / wrong) is Refusal.DAMAGED_PIXEL_DATA


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Rows": 0}, Refusal.INVALID_GEOMETRY),
        ({"BitsAllocated": 12}, Refusal.UNSUPPORTED_BITS),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Refusal.UNSUPPORTED_PHOTOMETRIC),
        ({"NumberOfFrames": "0"}, Refusal.INVALID_FRAME_COUNT),
    ],
)
def test_what_no_decoder_should_see_is_refused_before(tmp_path: Path, attributes: dict[str, Any], expected: Refusal):
    assert refusal(write_cine(tmp_path / "a", moving_clip(4, 12), **attributes)) is expected


def test_a_clip_beyond_the_limit_is_too_large(tmp_path: Path):
    path = write_cine(tmp_path / "a", moving_clip(4, 12))
    assert refusal(path, (1, 2), Limits(max_clip_bytes=300)) is Refusal.TOO_LARGE
    assert not isinstance(decoded(path, (1,), Limits(max_clip_bytes=300)), Refused)


def test_every_codec_of_this_installation_is_whole():
    check_codecs()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("dicomrle_decode", "RLE"),
        ("jpeg8_decode", "JPEG Baseline"),
        ("jpegls_decode", "JPEG-LS"),
        ("jpeg2k_decode", "JPEG 2000"),
    ],
)
def test_a_codec_that_is_missing_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, function: str, name: str):
    def missing(*args: object, **kwargs: object) -> None:
        raise ImportError(function)

    monkeypatch.setattr(imagecodecs, function, missing)
    with pytest.raises(ConfigError, match=name):
        check_codecs()


def test_a_codec_that_decodes_wrongly_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(imagecodecs, "jpegls_decode", lambda frame: np.zeros((2, 2), dtype=np.uint16))
    with pytest.raises(ConfigError, match="JPEG-LS wrongly"):
        check_codecs()


def test_without_imagecodecs_the_start_is_stopped_and_no_cine_gets_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    codecs._library.cache_clear()
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    path = write_cine(tmp_path / "a", moving_clip(4, 12), syntax=RLE)
    with pytest.raises(ConfigError, match="not installed"):
        check_codecs()
    with pytest.raises(ConfigError, match="not installed"):
        decoded(path)
