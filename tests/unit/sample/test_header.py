"""Headers of strangers: every fact where it belongs, every fault a reason, no exception."""

import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydicom.sequence import Sequence

from dicomqc.core.cine import FrameRateSource, Refusal, Refused
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.limits import Limits
from dicomqc.sample.voi import VoiTable, Window, WindowFunction
from tests.support.sample_cines import (
    BIG_ENDIAN,
    DEFLATED,
    ENHANCED_XA,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    JPEG_LS,
    SEQUENCE_END,
    element,
    item,
    moving_clip,
    nested,
    part10,
    write_cine,
)

CLIP = moving_clip(3, 8)


def inspect(path: Path) -> Inspected:
    found = read_header(path)
    assert isinstance(found, Inspected), found
    return found


def refusal(path: Path, limits: Limits | None = None) -> Refusal:
    found = read_header(path, limits) if limits else read_header(path)
    assert isinstance(found, Refused), found
    return found.reason


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, JPEG_LS])
def test_the_facts_of_a_cine_in_every_encoding(tmp_path: Path, syntax: str):
    angles = {"PositionerPrimaryAngle": "-30.5", "PositionerSecondaryAngle": "25"}
    header = inspect(write_cine(tmp_path / "a", moving_clip(3, 8, 12), syntax=syntax, bits=12, **angles)).header
    assert (header.frames, header.rows, header.columns, header.samples_per_pixel) == (3, 8, 12, 1)
    assert (header.bits_allocated, header.bits_stored, header.signed) == (16, 12, False)
    assert (header.modality, header.photometric, header.manufacturer) == ("XA", "MONOCHROME2", "Nobody")
    assert (header.sop_instance_uid, header.series_instance_uid, header.study_instance_uid) == ("1.2.3.4", "1.2.3.1", "1.2.3")
    assert (header.primary_angle_deg, header.secondary_angle_deg) == (-30.5, 25.0)
    assert header.transfer_syntax_uid == syntax
    assert header.frame_rate_source is FrameRateSource.FRAME_TIME
    assert header.frame_rate_hz == pytest.approx(15.0, rel=1e-4)
    assert header.has_pixel_data
    assert not header.subtracted


def test_an_absent_number_of_frames_is_a_single_frame(tmp_path: Path):
    assert inspect(write_cine(tmp_path / "a", CLIP, without=["NumberOfFrames"])).header.frames == 1


@pytest.mark.parametrize(
    ("text", "frames"), [("0", 0), ("-3", -3), ("1000000", 1000000), (" 75 ", 75), ("x", None), ("", None)]
)
def test_number_of_frames_is_a_whole_number_or_nothing(tmp_path: Path, text: str, frames: int | None):
    assert inspect(write_cine(tmp_path / "a", CLIP, NumberOfFrames=text)).header.frames == frames


@pytest.mark.parametrize("text", ["7.5", "1e2", "9" * 13, "3\\4"])
def test_number_of_frames_that_is_no_single_whole_number_is_null(tmp_path: Path, text: str):
    frames = element(0x00280008, b"IS", text.encode() + b" " * (len(text) % 2))
    assert inspect(written(tmp_path / "a", part10(frames))).header.frames is None


@pytest.mark.parametrize("uid", ["1." + "2" * 63, "../../etc/passwd", "1.2.3/4", "a b", ""])
def test_odd_uids_are_carried_as_text(tmp_path: Path, uid: str):
    data = element(0x00080018, b"UI", uid.encode() + bytes(len(uid) % 2)) + element(0x00080060, b"CS", b"XA")
    assert inspect(written(tmp_path / "a", part10(data))).header.sop_instance_uid == uid


def test_text_loses_control_characters_and_is_bounded(tmp_path: Path):
    data = element(0x00080060, b"CS", b"XA\0\x1b") + element(0x00080070, b"LO", b"A\nB" + b"c" * 301)
    header = inspect(written(tmp_path / "a", part10(data))).header
    assert header.modality == "XA"
    assert header.manufacturer.startswith("ABcc")
    assert len(header.manufacturer) == 128


def test_the_first_window_is_read_and_a_table_comes_before_it(tmp_path: Path):
    window = {"WindowCenter": ["2048", "5"], "WindowWidth": ["4096", "6"], "VOILUTFunction": "SIGMOID"}
    assert inspect(write_cine(tmp_path / "a", CLIP, **window)).voi == Window(
        centre=2048, width=4096, function=WindowFunction.SIGMOID
    )
    table = nested(LUTDescriptor=[3, 10, 8], LUTData=bytes([0, 0, 100, 0, 200, 0]))
    voi = inspect(write_cine(tmp_path / "b", CLIP, VOILUTSequence=Sequence([table]), **window)).voi
    assert voi == VoiTable(first=10, bits=8, entries=(0, 100, 200))


def test_a_packed_table_has_a_byte_an_entry(tmp_path: Path):
    table = nested(LUTDescriptor=[4, 0, 8], LUTData=bytes([0, 50, 100, 200]))
    voi = inspect(write_cine(tmp_path / "a", CLIP, VOILUTSequence=Sequence([table]))).voi
    assert voi == VoiTable(first=0, bits=8, entries=(0, 50, 100, 200))


def test_the_first_mapped_value_is_signed_as_the_pixels_are(tmp_path: Path):
    table = nested(LUTDescriptor=[2, 65436, 8], LUTData=bytes([0, 0, 1, 0]))
    clip = moving_clip(3, 8, 12, signed=True)
    voi = inspect(write_cine(tmp_path / "a", clip, bits=12, VOILUTSequence=Sequence([table]))).voi
    assert isinstance(voi, VoiTable)
    assert voi.first == -100


@pytest.mark.parametrize(
    "table",
    [
        {"LUTDescriptor": [0, 0, 8], "LUTData": bytes(100)},
        {"LUTDescriptor": [2, 0, 17], "LUTData": bytes(4)},
        {"LUTDescriptor": [2, 0, 0], "LUTData": bytes(4)},
        {"LUTDescriptor": [2, 0], "LUTData": bytes(4)},
        {"LUTDescriptor": [2, 0, 8]},
        {"LUTDescriptor": [4, 0, 12], "LUTData": bytes(4)},
        {},
    ],
)
def test_a_table_that_cannot_be_used_gives_way_to_the_window(tmp_path: Path, table: dict[str, Any]):
    path = write_cine(tmp_path / "a", CLIP, VOILUTSequence=Sequence([nested(**table)]), WindowCenter="5", WindowWidth="9")
    assert inspect(path).voi == Window(centre=5, width=9)


@pytest.mark.parametrize(("centre", "width"), [("5", "0"), ("5", "-2"), ("x", "10"), ("", ""), ("nan", "5")])
def test_a_window_that_cannot_be_used_is_none(tmp_path: Path, centre: str, width: str):
    assert inspect(write_cine(tmp_path / "a", CLIP, WindowCenter=centre, WindowWidth=width)).voi is None


@pytest.mark.parametrize(
    ("attributes", "subtracted"),
    [
        ({}, False),
        ({"ImageType": ["DERIVED", "PRIMARY", "SINGLE PLANE", "SUBTRACTED"]}, True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "DSA"]}, True),
        ({"RecommendedViewingMode": "SUB"}, True),
        ({"RecommendedViewingMode": "NAT"}, False),
        ({"MaskSubtractionSequence": Sequence([nested(MaskOperation="AVG_SUB")])}, True),
        ({"MaskSubtractionSequence": Sequence([nested(MaskOperation="NONE")])}, False),
        ({"RecommendedViewingMode": "NAT", "MaskSubtractionSequence": Sequence([nested(MaskOperation="TID")])}, False),
    ],
)
def test_subtracted_is_what_is_stored_or_meant_to_be_viewed_so(tmp_path: Path, attributes: dict[str, Any], subtracted: bool):
    assert inspect(write_cine(tmp_path / "a", CLIP, **attributes)).header.subtracted is subtracted


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
def test_enhanced_objects_are_read_from_their_functional_groups(tmp_path: Path, syntax: str, undefined: bool):
    frames = []
    for index in range(3):
        content = nested(FrameAcquisitionDateTime=f"20260102120000.{index * 66667:06d}")
        frames.append(nested(FrameContentSequence=Sequence([content])))
        for sequence in (frames[-1]["FrameContentSequence"],):
            sequence.is_undefined_length = undefined
            sequence.value[0].is_undefined_length_sequence_item = undefined
    shared = nested(
        FrameVOILUTSequence=Sequence([nested(WindowCenter="7", WindowWidth="11")]),
        PositionerPositionSequence=Sequence([nested(PositionerPrimaryAngle="12", PositionerSecondaryAngle="-3")]),
    )
    found = inspect(
        write_cine(
            tmp_path / "a",
            CLIP,
            syntax=syntax,
            without=["FrameTime", "FrameIncrementPointer"],
            SOPClassUID=ENHANCED_XA,
            SharedFunctionalGroupsSequence=Sequence([shared]),
            PerFrameFunctionalGroupsSequence=Sequence(frames),
        )
    )
    assert found.header.frame_rate_hz == pytest.approx(15.0, rel=1e-4)
    assert found.header.frame_rate_source is FrameRateSource.ACQUISITION_DATE_TIMES
    assert found.voi == Window(centre=7, width=11)
    assert (found.header.primary_angle_deg, found.header.secondary_angle_deg) == (12.0, -3.0)
    assert found.header.has_pixel_data


def test_a_frame_type_of_a_functional_group_can_say_subtracted(tmp_path: Path):
    frame = nested(XAXRFFrameCharacteristicsSequence=Sequence([nested(FrameType=["DERIVED", "PRIMARY", "SUBTRACTION"])]))
    assert inspect(write_cine(tmp_path / "a", CLIP, PerFrameFunctionalGroupsSequence=Sequence([frame]))).header.subtracted


def test_pixel_data_of_an_icon_are_not_the_objects(tmp_path: Path):
    icon = nested(Rows=4, Columns=4)
    icon.PixelData = bytes(16)
    icon["PixelData"].VR = "OB"
    path = write_cine(tmp_path / "a", CLIP, without=["PixelData"], IconImageSequence=Sequence([icon]))
    header = inspect(path).header
    assert not header.has_pixel_data
    assert (header.rows, header.columns) == (8, 12)


@pytest.mark.parametrize("data", [b"", b"x", b"GIF89a" + bytes(200), bytes(132), bytes(128) + b"DIC"])
def test_what_has_neither_marker_nor_file_meta_is_not_dicom(tmp_path: Path, data: bytes):
    assert refusal(written(tmp_path / "a", data)) is Refusal.NOT_DICOM


def test_a_pipe_or_a_device_is_not_dicom_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") is Refusal.NOT_DICOM
    assert refusal(Path("/dev/zero")) is Refusal.NOT_DICOM


def test_file_meta_without_preamble_is_plainly_parseable(tmp_path: Path):
    path = write_cine(tmp_path / "a", CLIP)
    path.write_bytes(path.read_bytes()[132:])
    assert inspect(path).header.rows == 8


def test_without_a_transfer_syntax_nothing_is_guessed(tmp_path: Path):
    assert (
        refusal(written(tmp_path / "a", bytes(128) + b"DICM" + element(0x00080060, b"CS", b"XA"))) is Refusal.UNREADABLE_HEADER
    )


def test_a_data_set_in_the_other_kind_of_vr_than_named_is_read(tmp_path: Path):
    data = write_cine(tmp_path / "a", CLIP, syntax=IMPLICIT).read_bytes()
    body = data[data.index(b"\x08\x00\x16\x00") :]
    assert inspect(written(tmp_path / "b", part10(body, EXPLICIT))).header.columns == 12


def test_a_header_cut_anywhere_before_the_pixel_data_never_passes_for_whole(tmp_path: Path):
    whole = write_cine(tmp_path / "a", CLIP).read_bytes()
    pixels_at = whole.index(b"\xe0\x7f\x10\x00")
    for cut in [*range(0, 300, 13), *range(300, pixels_at, 3)]:
        found = read_header(written(tmp_path / "b", whole[:cut]))
        if isinstance(found, Inspected):
            assert not found.header.has_pixel_data
        else:
            assert found.reason in {Refusal.NOT_DICOM, Refusal.TRUNCATED, Refusal.UNREADABLE_HEADER}


def test_a_length_beyond_the_file_is_truncated_and_reads_nothing(tmp_path: Path):
    data = element(0x00080060, b"CS", b"XA") + element(0x00091010, b"UN", b"", length=0xFFFFFFF0)
    assert refusal(written(tmp_path / "a", part10(data))) is Refusal.TRUNCATED


@pytest.mark.parametrize("levels", [65, 2500, 40000])
def test_deep_nesting_is_refused_without_recursion(tmp_path: Path, levels: int):
    deep = (element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + item(b"", length=0xFFFFFFFF)) * levels
    closed = deep + (ITEM_END + SEQUENCE_END) * levels
    assert refusal(written(tmp_path / "a", part10(closed))) is Refusal.UNREADABLE_HEADER


def test_nesting_that_real_objects_have_is_walked(tmp_path: Path):
    deep = (element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + item(b"", length=0xFFFFFFFF)) * 12
    data = element(0x00080060, b"CS", b"XA") + deep + (ITEM_END + SEQUENCE_END) * 12 + element(0x00280010, b"US", b"\x10\0")
    header = inspect(written(tmp_path / "a", part10(data))).header
    assert (header.modality, header.rows) == ("XA", 16)


def test_a_sequence_that_never_ends_is_truncated(tmp_path: Path):
    data = element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + item(b"", length=0xFFFFFFFF)
    assert refusal(written(tmp_path / "a", part10(data))) is Refusal.TRUNCATED


def test_too_many_elements_are_refused(tmp_path: Path):
    data = element(0x00091010, b"LO", b"") * 50
    assert refusal(written(tmp_path / "a", part10(data)), Limits(max_elements=40)) is Refusal.UNREADABLE_HEADER


def test_a_value_beyond_the_limit_counts_as_absent(tmp_path: Path):
    path = write_cine(tmp_path / "a", CLIP, without=["FrameTime"], FrameTimeVector=["66.7"] * 300)
    found = read_header(path, Limits(max_value_bytes=100))
    assert isinstance(found, Inspected)
    assert found.header.frame_rate_hz is None
    assert inspect(path).header.frame_rate_source is FrameRateSource.FRAME_TIME_VECTOR


def deflated(body: bytes) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return part10(squeezer.compress(body) + squeezer.flush(), DEFLATED)


def test_a_deflate_bomb_is_too_large_and_a_cut_one_truncated(tmp_path: Path):
    bomb = deflated(element(0x00091010, b"UN", bytes(5_000_000)))
    assert len(bomb) < 10_000
    assert refusal(written(tmp_path / "a", bomb), Limits(max_inflated_bytes=1_000_000)) is Refusal.TOO_LARGE
    assert refusal(written(tmp_path / "b", bomb[:-40])) is Refusal.TRUNCATED


def test_a_corrupt_deflate_stream_is_unreadable(tmp_path: Path):
    assert refusal(written(tmp_path / "a", part10(b"\xff" * 100, DEFLATED))) is Refusal.UNREADABLE_HEADER


def test_a_data_set_without_an_element_is_truncated_and_one_without_an_image_is_not(tmp_path: Path):
    assert refusal(written(tmp_path / "a", part10(b""))) is Refusal.TRUNCATED
    assert not inspect(written(tmp_path / "b", part10(element(0x00080005, b"CS", b"")))).header.has_pixel_data


def test_a_missing_file_is_no_verdict(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none")
