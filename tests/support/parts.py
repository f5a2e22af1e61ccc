"""Part 10 files made by hand, element by element, so that a test decides every byte of them."""

import struct
from pathlib import Path

XA = "1.2.840.10008.5.1.4.1.1.12.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def element(tag: int, vr: bytes, value: bytes, *, syntax: str = EXPLICIT_LE, length: int | None = None) -> bytes:
    """One element; `length` lies about the value's where given."""
    order = ">" if syntax == EXPLICIT_BE else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    size = len(value) if length is None else length
    if syntax == IMPLICIT_LE:
        return head + struct.pack("<I", size) + value
    if vr in LONG:
        return head + vr + b"\0\0" + struct.pack(order + "I", size) + value
    return head + vr + struct.pack(order + "H", size) + value


def uid(value: str) -> bytes:
    raw = value.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)


def identifiers(
    *, sop_class: str = XA, instance: str = "1.2.3.1", study: str = "1.2.3", series: str = "1.2.3.0", syntax: str = EXPLICIT_LE
) -> bytes:
    """The four identifiers and a patient's name; an empty string leaves one out."""
    values = ((0x00080016, sop_class), (0x00080018, instance), (0x0020000D, study), (0x0020000E, series))
    out = b""
    for tag, value in values:
        if tag == 0x0020000D:
            out += element(0x00100010, b"PN", b"DOE^JANE", syntax=syntax)
        if value:
            out += element(tag, b"UI", uid(value), syntax=syntax)
    return out


def pixels(value: bytes, *, syntax: str = EXPLICIT_LE) -> bytes:
    return element(0x7FE00010, b"OW", value, syntax=syntax)


def part10(path: Path, dataset: bytes, *, syntax: str = EXPLICIT_LE, sop_class: str = XA, instance: str = "1.2.3.1") -> Path:
    """Preamble, file meta, data set (PS3.10 section 7.1)."""
    meta = (
        element(0x00020001, b"OB", b"\0\1")
        + element(0x00020002, b"UI", uid(sop_class))
        + element(0x00020003, b"UI", uid(instance))
        + element(0x00020010, b"UI", uid(syntax))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + dataset)
    return path
