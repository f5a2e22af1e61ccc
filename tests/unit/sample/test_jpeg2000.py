"""Codestreams that ask for more structures than pixels are refused before OpenJPEG sees them."""

import struct

import numpy as np
import pytest

from dicomqc.core.cine import Refusal
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.jpeg2000 import refuse_fine_cuts
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import Coding
from dicomqc.sample.voi import StoredValues
from tests.support.sample_cines import HTJ2K, HTJ2K_LOSSY, HTJ2K_RPCL, J2K, J2K_LOSSY, encode

PICTURE = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
TILE_FIELDS = 24


def tiled(frame: bytes, width: int, height: int) -> bytes:
    return frame[:TILE_FIELDS] + struct.pack(">LL", width, height) + frame[TILE_FIELDS + 8 :]


def with_precincts(frame: bytes, side: int, levels: int | None = None, marker: bytes = b"\xff\x52") -> bytes:
    """The COD segment with explicit precinct sizes: the low nibble is the exponent across, the high one down."""
    at = frame.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", frame, at + 2)
    segment = bytearray(frame[at + 4 : at + 14])
    segment[5] = segment[5] if levels is None else levels
    sides = bytes([side]) * (segment[5] + 1)
    if marker == b"\xff\x53":
        # COC: component 0, style 1, and then as COD from the levels on.
        extra = b"\xff\x53" + struct.pack(">HBB", 4 + 5 + len(sides), 0, 1) + bytes(segment[5:]) + sides
        return frame[: at + 2 + length] + extra + frame[at + 2 + length :]
    segment[0] |= 1
    return frame[:at] + marker + struct.pack(">H", 2 + len(segment) + len(sides)) + segment + sides + frame[at + 2 + length :]


def refused(frame: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        refuse_fine_cuts(frame)
    assert caught.value.reason is Refusal.DAMAGED_PIXEL_DATA
    return str(caught.value)


@pytest.mark.parametrize("syntax", [J2K, J2K_LOSSY, HTJ2K, HTJ2K_RPCL, HTJ2K_LOSSY])
def test_a_picture_of_one_tile_passes(syntax: str):
    refuse_fine_cuts(encode(PICTURE, syntax, 8))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (4, 4), (1, 512), (7, 7)])
def test_more_tiles_than_any_picture_has_are_refused(width: int, height: int):
    frame = tiled(encode(PICTURE, J2K, 8), width, height)
    if width * height < 512:
        assert "tiles" in refused(frame)
    else:
        refuse_fine_cuts(frame)


def test_tiles_of_64_pixels_pass_at_any_size():
    frame = bytearray(encode(PICTURE, J2K, 8))
    struct.pack_into(">LL", frame, 8, 4096, 4096)
    refuse_fine_cuts(tiled(bytes(frame), 64, 64))


def test_tiles_without_pixels_are_refused():
    assert "without pixels" in refused(tiled(encode(PICTURE, J2K, 8), 0, 16))


@pytest.mark.parametrize("marker", [b"\xff\x52", b"\xff\x53"])
def test_tiny_precincts_are_refused_and_real_ones_pass(marker: bytes):
    frame = encode(PICTURE, J2K, 8)
    assert "precincts" in refused(with_precincts(frame, 0x11, marker=marker))
    refuse_fine_cuts(with_precincts(frame, 0x66, marker=marker))


def test_precincts_are_counted_in_every_tile():
    frame = with_precincts(encode(PICTURE, J2K, 8), 0x22)
    refuse_fine_cuts(frame)
    assert "precincts" in refused(tiled(frame, 8, 8))


def test_more_levels_than_the_standard_has_are_refused():
    assert "levels" in refused(with_precincts(encode(PICTURE, J2K, 8), 0x66, levels=33))


@pytest.mark.parametrize("cut", [10, 41, 60])
def test_a_header_that_ends_early_is_refused(cut: int):
    assert "header" in refused(encode(PICTURE, J2K, 8)[:cut])


def test_a_header_without_an_end_is_not_walked_for_ever():
    frame = encode(PICTURE, J2K, 8)
    at = frame.index(b"\xff\x90")
    assert "no tile" in refused(frame[:at] + bytes(10_000))


def test_the_decoder_never_sees_what_is_refused():
    stored = StoredValues(bits_allocated=8, bits_stored=8, signed=False, inverted=False)
    with pytest.raises(Rejected, match="tiles"):
        decode_frame(tiled(encode(PICTURE, J2K, 8), 2, 2), Coding.JPEG_2000, rows=512, columns=512, stored=stored)
