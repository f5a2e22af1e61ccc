"""What the kernel was asked to read: the sampled frames' bytes, the header, and eight bytes of every other fragment.

Kills the mutants: a buffered stream (8 KiB of every frame), frames found by reading those before them, a whole-file read.
"""

from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate_extended

from dicomqc.core.cine import Refused
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.header import Inspected, read_header
from tests.support.sample_cines import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    J2K,
    JPEG_LS,
    LOSSLESS_SV1,
    RLE,
    encode,
    write_cine,
)

FRAMES = 24
NUMBERS = (5, 9, 20)
SIZE = 160
# File meta, the element headers of the pixel data, and this test's own look at the counter.
OTHER_BYTES = 4096
FRAGMENT_BYTES = 8
ENDING_BYTES = 64


def bytes_asked_for() -> int:
    """Bytes that this process has asked the kernel to read so far, whoever answered."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """Noise, so that every coded frame is far larger than what may be read beside it."""
    return np.random.default_rng(0).integers(0, 4096, (FRAMES, SIZE, SIZE)).astype(np.uint16)


def read_beyond_the_frames(path: Path, clip: np.ndarray, frame_bytes: int) -> int:
    """Bytes read beyond those of the wanted frames, once everything is imported; the frames themselves are checked."""
    inspected = read_header(path)
    assert isinstance(inspected, Inspected)
    decode_frames(path, inspected, NUMBERS)
    before = bytes_asked_for()
    frames = decode_frames(path, inspected, NUMBERS)
    read = bytes_asked_for() - before
    assert not isinstance(frames, Refused), frames
    assert np.array_equal(frames, clip[[number - 1 for number in NUMBERS]])
    return read - frame_bytes


def size_of(clip: np.ndarray, syntax: str) -> int:
    sizes = [len(encode(clip[number - 1], syntax, 12)) for number in NUMBERS]
    assert min(sizes) > 4 * OTHER_BYTES
    return sum(size + size % 2 for size in sizes)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("syntax", [LOSSLESS_SV1, JPEG_LS, J2K])
def test_only_sampled_frames_are_read_with_and_without_a_basic_offset_table(
    tmp_path: Path, clip: np.ndarray, syntax: str, fragments: int, has_table: bool
):
    options = {"offset_table": has_table, "fragments_per_frame": fragments}
    path = write_cine(tmp_path / "a", clip, syntax=syntax, bits=12, **options)
    beyond = read_beyond_the_frames(path, clip, size_of(clip, syntax))
    assert beyond < OTHER_BYTES + FRAMES * fragments * (FRAGMENT_BYTES + ENDING_BYTES)


def test_only_sampled_frames_are_read_with_an_extended_offset_table(tmp_path: Path, clip: np.ndarray):
    data, offsets, lengths = encapsulate_extended([encode(frame, LOSSLESS_SV1, 12) for frame in clip])
    tables = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    path = write_cine(tmp_path / "a", clip, syntax=LOSSLESS_SV1, bits=12, pixel_data=data, **tables)
    assert read_beyond_the_frames(path, clip, size_of(clip, LOSSLESS_SV1)) < OTHER_BYTES + FRAMES * FRAGMENT_BYTES


def test_only_sampled_frames_of_rle_are_read(tmp_path: Path, clip: np.ndarray):
    path = write_cine(tmp_path / "a", clip, syntax=RLE, bits=12)
    assert read_beyond_the_frames(path, clip, size_of(clip, RLE)) < OTHER_BYTES + FRAMES * FRAGMENT_BYTES


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_only_sampled_frames_of_native_pixels_are_read(tmp_path: Path, clip: np.ndarray, syntax: str):
    path = write_cine(tmp_path / "a", clip, syntax=syntax, bits=12)
    assert read_beyond_the_frames(path, clip, len(NUMBERS) * 2 * SIZE * SIZE) < OTHER_BYTES
