"""Which fragments are which frame: every offset table, pydicom as a second opinion, and every way to be damaged."""

import io
import struct

import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame

from dicomqc.core.cine import Refusal
from dicomqc.sample.elements import Walk
from dicomqc.sample.encapsulation import frame_fragments, read_fragments, without_padding
from dicomqc.sample.limits import DEFAULT_LIMITS, Limits
from dicomqc.sample.rejection import Rejected
from tests.support.sample_cines import SEQUENCE_END, item

FRAMES = [bytes([index + 1]) * (20 + 2 * index) + b"\xff\xd9" for index in range(6)]


def read(
    data: bytes, frames: int, numbers: tuple[int, ...], *, marked: bool = True, limits: Limits = DEFAULT_LIMITS
) -> list[bytes]:
    walk = Walk(io.BytesIO(data), len(data), limits)
    places = frame_fragments(walk, at=0, frames=frames, numbers=numbers, marked=marked)
    return [read_fragments(walk, places[number]) for number in numbers]


def refusal(data: bytes, frames: int = 6, **options: bool | Limits) -> Refusal:
    with pytest.raises(Rejected) as caught:
        read(data, frames, (1, frames), **options)  # type: ignore[arg-type]
    return caught.value.reason


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 2, 3])
def test_frames_equal_pydicoms_for_every_table_and_fragmentation(has_table: bool, fragments: int):
    data = encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=has_table) + SEQUENCE_END
    assert read(data, 6, (1, 3, 6)) == [get_frame(data, index, number_of_frames=6) for index in (0, 2, 5)]


def test_extended_offset_tables_need_no_reading():
    data, offsets, lengths = encapsulate_extended(FRAMES)
    found = read(data + SEQUENCE_END, 6, (2, 5))
    assert found == [get_frame(data, index, extended_offsets=(offsets, lengths), number_of_frames=6) for index in (1, 4)]


def test_a_single_frame_is_all_its_fragments():
    data = encapsulate(FRAMES[:1], fragments_per_frame=4, has_bot=False)
    assert read(data, 1, (1,), marked=False) == [FRAMES[0]]


@pytest.mark.parametrize(
    "offsets", [(0, 1, 2, 3, 4, 5), (8, 36, 66, 98, 132, 168), (0, 30, 30, 94, 128, 164), (168, 128, 94, 62, 32, 0)]
)
def test_a_wrong_offset_table_gives_way_to_counting(offsets: tuple[int, ...]):
    data = item(struct.pack("<6L", *offsets)) + b"".join(map(item, FRAMES)) + SEQUENCE_END
    assert read(data, 6, (1, 4)) == [FRAMES[0], FRAMES[3]]


def test_padding_after_the_end_marker_does_not_hide_it():
    padded = [frame + b"\xff" * 30 + b"\0" for frame in FRAMES]
    data = encapsulate(padded, fragments_per_frame=2, has_bot=False) + SEQUENCE_END
    assert [without_padding(frame) for frame in read(data, 6, (1, 6))] == [FRAMES[0], FRAMES[5]]


def test_stray_bytes_after_the_end_marker_do_not_hide_it():
    whole = [b"\xff\xd8" + frame for frame in FRAMES]
    stray = [frame + b"\x67\xcf\xad\x34\x8a\x28\xa2"[: index + 1] + bytes(index % 2) for index, frame in enumerate(whole)]
    for fragments in (1, 2):
        data = encapsulate(stray, fragments_per_frame=fragments, has_bot=False) + SEQUENCE_END
        assert [without_padding(frame) for frame in read(data, 6, (1, 2, 6))] == [whole[0], whole[1], whole[5]]
    assert without_padding(FRAMES[0] + b"\x01" * 7) == FRAMES[0]
    assert without_padding(FRAMES[0] + b"\x01" * 8) is None
    assert without_padding(FRAMES[0] + b"\x01" * 7 + bytes(60)) == FRAMES[0]


@pytest.mark.parametrize("behind", range(1, 12))
def test_the_end_marker_of_a_thumbnail_in_a_header_ends_no_frame(behind: int) -> None:
    whole = [b"\xff\xd8" + frame for frame in FRAMES]
    thumbnail = b"\xff\xd8\xff\xe1" + bytes([7]) * 20 + b"\xff\xd9" + bytes([5]) * behind
    parts = [thumbnail, whole[0], *(piece for frame in whole[1:] for piece in (frame[:10], frame[10:]))]
    data = (
        item(b"")
        + b"".join(item(part + bytes(len(part) % 2)) for part in [*parts[:1], whole[0][2:], *parts[2:]])
        + SEQUENCE_END
    )
    found = read(data, 6, (2, 3, 6))
    assert [without_padding(frame) for frame in found] == [whole[1], whole[2], whole[5]]


def test_an_end_marker_split_between_two_fragments_ends_its_frame():
    parts = [piece for frame in FRAMES for piece in (frame[:-1], frame[-1:] + b"\0")]
    data = item(b"") + b"".join(map(item, parts)) + SEQUENCE_END
    assert [without_padding(frame) for frame in read(data, 6, (1, 2, 6))] == [FRAMES[0], FRAMES[1], FRAMES[5]]


@pytest.mark.parametrize("frame", [b"", b"\xff", b"\xd9", b"\xff\xd8abc", b"\0\0"])
def test_a_frame_without_its_end_marker_is_null(frame: bytes):
    assert without_padding(frame) is None


def test_rle_frames_of_several_fragments_are_damaged():
    data = encapsulate(FRAMES, fragments_per_frame=2, has_bot=False) + SEQUENCE_END
    assert refusal(data, marked=False) is Refusal.DAMAGED_PIXEL_DATA


def test_fewer_fragments_than_frames_are_truncated_and_a_million_frames_cost_nothing():
    data = encapsulate(FRAMES) + SEQUENCE_END
    assert refusal(data, 7) is Refusal.TRUNCATED
    assert refusal(data, 1_000_000) is Refusal.TRUNCATED


def test_frames_whose_markers_are_missing_are_truncated():
    unmarked = [frame[:-2] + b"ab" for frame in FRAMES]
    assert refusal(encapsulate(unmarked, fragments_per_frame=2, has_bot=False) + SEQUENCE_END) is Refusal.TRUNCATED


def test_more_fragments_than_frames_keep_the_first_frames():
    data = encapsulate(FRAMES, has_bot=False) + SEQUENCE_END
    assert read(data, 4, (1, 4)) == [FRAMES[0], FRAMES[3]]


def test_a_missing_delimiter_at_the_end_is_forgiven_and_every_other_cut_is_truncated():
    data = encapsulate(FRAMES)
    assert read(data, 6, (6,)) == [FRAMES[5]]
    for cut in range(1, len(data)):
        assert refusal(data[:cut]) is Refusal.TRUNCATED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SEQUENCE_END,
        b"\x10\x00\x20\x00" + bytes(40),
        item(b"") + item(b"", length=0xFFFFFFFF) + SEQUENCE_END,
        item(b"") + b"\xfe\xff\x0d\xe0" + bytes(40),
    ],
)
def test_what_is_no_sequence_of_fragments_is_damaged(data: bytes):
    assert refusal(data) is Refusal.DAMAGED_PIXEL_DATA


def test_too_many_fragments_or_offsets_are_too_large():
    few = Limits(max_fragments=4)
    assert refusal(encapsulate(FRAMES, has_bot=False), limits=few) is Refusal.TOO_LARGE
    assert refusal(item(bytes(20)) + item(FRAMES[0]), limits=few) is Refusal.TOO_LARGE
