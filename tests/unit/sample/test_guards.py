"""What a coded frame says of itself, read without a decoder."""

import numpy as np
import pytest

from dicomqc.core.cine import Refusal
from dicomqc.sample.guards import CodedSize, coded_size
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import SYNTAXES, Coding
from tests.support.sample_cines import BASELINE, EXACT_CODED, EXTENDED, LOSSLESS, RLE, encode, moving_clip

TALL = np.ascontiguousarray(moving_clip(1, 24)[0][:, :9])


@pytest.mark.parametrize("syntax", [*(uid for uid in EXACT_CODED if uid != RLE), BASELINE, EXTENDED])
def test_rows_columns_and_precision_are_read_from_every_coding(syntax: str):
    size = coded_size(encode(TALL, syntax, 8), SYNTAXES[syntax].coding)
    assert size == CodedSize(rows=24, columns=9, precision=8, components=1)


@pytest.mark.parametrize("syntax", [EXTENDED, LOSSLESS])
def test_a_precision_above_8_is_read(syntax: str):
    assert coded_size(encode(moving_clip(1, 8, 12)[0], syntax, 12), SYNTAXES[syntax].coding).precision == 12


def test_fill_bytes_and_other_segments_before_the_frame_header_are_walked():
    frame = b"\xff\xd8\xff\xfe\x00\x04ab\xff\xff\xff\x01\xff\xc3\x00\x0b\x0c\x00\x05\x00\x07\x01\x01\x11\x00"
    assert coded_size(frame, Coding.JPEG_LOSSLESS) == CodedSize(rows=5, columns=7, precision=12, components=1)


@pytest.mark.parametrize("coding", [Coding.JPEG, Coding.JPEG_LOSSLESS, Coding.JPEG_LS, Coding.JPEG_2000])
@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8abcd",
        b"\xff\xd8\xff\xda\x00\x08" + bytes(20),
        b"\xff\xd8\xff\xc2\x00\x0b\x08\x00\x05\x00\x07\x01\x01\x11\x00",
        b"\xff\xd8\xff\xe0\x00",
        b"\xff\xd8\xff\xe0\x00\x00" + bytes(9),
        b"\xff\xd8" + b"\xff" * 50,
        encode(TALL, LOSSLESS, 8).replace(b"\xff\xd8", b"\xff\xd8" + b"\xff" * 2000),
        b"\xff\x4f\xff\x51",
        b"\x00\x00\x00\x0cjP  ",
    ],
)
def test_what_does_not_begin_as_its_coding_does_is_damaged(frame: bytes, coding: Coding):
    with pytest.raises(Rejected) as caught:
        coded_size(frame, coding)
    assert caught.value.reason is Refusal.DAMAGED_PIXEL_DATA


def test_one_family_does_not_pass_for_another():
    lossless = encode(TALL, LOSSLESS, 8)
    for coding in (Coding.JPEG, Coding.JPEG_LS, Coding.JPEG_2000):
        with pytest.raises(Rejected):
            coded_size(lossless, coding)
