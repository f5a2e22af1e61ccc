"""Small angiographic cines in every transfer syntax that `sample` reads, and data sets written byte by byte."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.native import _encode_segment
from pydicom.tag import BaseTag

XA = "1.2.840.10008.5.1.4.1.1.12.1"
ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1.1"
IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
RLE = "1.2.840.10008.1.2.5"
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1, JPEG_LS, JPEG_LS_NEAR, J2K, J2K_LOSSY, HTJ2K, HTJ2K_RPCL, HTJ2K_LOSSY = (
    f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)
)
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
EXACT_CODED = (RLE, LOSSLESS, LOSSLESS_SV1, JPEG_LS, J2K, HTJ2K, HTJ2K_RPCL)
LOSSY = (BASELINE, EXTENDED, JPEG_LS_NEAR, J2K_LOSSY, HTJ2K_LOSSY)
ATTRIBUTES: dict[str, Any] = {
    "SOPClassUID": XA,
    "SOPInstanceUID": "1.2.3.4",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.1",
    "Modality": "XA",
    "Manufacturer": "Nobody",
    "FrameTime": "66.6667",
    "FrameIncrementPointer": 0x00181063,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
}


def moving_clip(frames: int = 48, size: int = 24, bits: int = 8, *, signed: bool = False) -> NDArray[Any]:
    """Smooth frames that differ from one another, over the full range of `bits`."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(size), np.arange(size + 4), indexing="ij")
    wave = (np.sin((x + 2 * t) / 5.0) + np.cos((y - t) / 4.0) + 2) / 4
    values = np.rint(wave * ((1 << bits) - 1)).astype(np.int64) - ((1 << (bits - 1)) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def encode(frame: NDArray[Any], syntax: str, bits: int) -> bytes:
    """One frame coded by `syntax`, with an independent encoder where there is one."""
    if syntax == RLE:
        plain = frame.astype(frame.dtype.newbyteorder("<")).tobytes()
        depth = frame.dtype.itemsize
        segments = [bytes(_encode_segment(plain[i::depth], frame.shape[1])) for i in reversed(range(depth))]
        starts = [64 + sum(map(len, segments[:i])) for i in range(depth)]
        return struct.pack("<16L", depth, *starts, *[0] * (15 - depth)) + b"".join(segments)
    unsigned = frame.view(f"u{frame.dtype.itemsize}") & ((1 << bits) - 1)
    depth_option = {} if bits == 8 else {"bitspersample": bits}
    if syntax in {BASELINE, EXTENDED}:
        return bytes(imagecodecs.jpeg8_encode(unsigned, level=98, **depth_option))
    if syntax in {LOSSLESS, LOSSLESS_SV1}:
        return bytes(
            imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=4 if syntax == LOSSLESS else 1, **depth_option)
        )
    if syntax in {JPEG_LS, JPEG_LS_NEAR}:
        return bytes(imagecodecs.jpegls_encode(unsigned, level=2 if syntax == JPEG_LS_NEAR else 0))
    if syntax in {J2K, J2K_LOSSY}:
        exact = {"reversible": True} if syntax == J2K else {"level": 60, "reversible": False}
        return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", bitspersample=bits, **exact))
    return bytes(
        imagecodecs.htj2k_encode(frame, level=1e-3 if syntax == HTJ2K_LOSSY else None, reversible=syntax != HTJ2K_LOSSY)
    )


def write_cine(
    path: Path,
    clip: NDArray[Any],
    *,
    syntax: str = EXPLICIT,
    bits: int | None = None,
    coded: Sequence[bytes] | None = None,
    pixel_data: bytes | None = None,
    offset_table: bool = True,
    fragments_per_frame: int = 1,
    without: Sequence[str] = (),
    **attributes: Any,
) -> Path:
    """`clip` [T,H,W] as a Part 10 file; `attributes` replace, `without` removes, `coded` or `pixel_data` replace the pixels."""
    depth = clip.dtype.itemsize
    bits = bits or 8 * depth
    geometry = {
        "Rows": clip.shape[1],
        "Columns": clip.shape[2],
        "NumberOfFrames": str(len(clip)),
        "BitsAllocated": 8 * depth,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(clip.dtype.kind == "i"),
    }
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = XA
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds = Dataset()
    ds.file_meta, ds.preamble = meta, bytes(128)
    for keyword, value in (ATTRIBUTES | geometry | attributes).items():
        if keyword not in without:
            add(ds, keyword, value)
    if pixel_data is None:
        if syntax in NATIVE:
            pixel_data = clip.astype(clip.dtype.newbyteorder(">" if syntax == BIG_ENDIAN else "<")).tobytes()
            pixel_data += bytes(len(pixel_data) % 2)
        else:
            coded = coded or [encode(frame, syntax, bits) for frame in clip]
            pixel_data = encapsulate(list(coded), fragments_per_frame=fragments_per_frame, has_bot=offset_table)
    if "PixelData" not in without:
        ds.add(DataElement(0x7FE00010, "OB" if depth == 1 or syntax not in NATIVE else "OW", pixel_data))
        ds["PixelData"].is_undefined_length = syntax not in NATIVE
    ds.save_as(path, enforce_file_format=True)
    return path


def add(ds: Dataset, keyword: str, value: Any) -> None:
    """Set an attribute without pydicom's opinion of its value: hostile values are the point."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag)
    vr = "US" if vr == "US or SS" else vr
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        text = (value if isinstance(value, str) else "\\".join(value)).encode("latin-1")
        text += b"\0" * (len(text) % 2)
        ds[tag] = RawDataElement(BaseTag(tag), vr, len(text), text, 0, False, True)
        return
    ds.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def nested(**values: Any) -> Dataset:
    """An item of a sequence, its values set by `add`."""
    ds = Dataset()
    for keyword, value in values.items():
        add(ds, keyword, value)
    return ds


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One explicit little-endian element; `length` lies where it is given."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    size = len(value) if length is None else length
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT"}:
        return head + struct.pack("<HL", 0, size) + value
    return head + struct.pack("<H", size) + value


def item(value: bytes, length: int | None = None) -> bytes:
    """One sequence item."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)


def part10(data_set: bytes, syntax: str = EXPLICIT) -> bytes:
    """Preamble, marker and the least file meta information before `data_set`."""
    uid = syntax.encode() + bytes(len(syntax) % 2)
    return bytes(128) + b"DICM" + element(0x00020010, b"UI", uid) + data_set
