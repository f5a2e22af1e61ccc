"""The identifiers of a received data set, read without its pixels and without trusting it: damage is a refusal, no traceback.

Values are taken as raw bytes: nothing is converted, so no library warning can print them.
"""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from dicomqc.core.errors import Refused
from dicomqc.core.identifiers import is_valid_uid
from dicomqc.receive.contexts import DEFLATED, EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from dicomqc.receive.status import Reason
from dicomqc.spool.read import DatasetLocation

SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
STUDY_INSTANCE = 0x0020000D
SERIES_INSTANCE = 0x0020000E
_WANTED = (SOP_CLASS, SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE)
_MAX_VALUE_BYTES = 4096
MAX_INFLATED_HEADER_BYTES = 16 << 20

PARSE_ERRORS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """The four UIDs that place an object, each well formed."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


def identify(path: Path, location: DatasetLocation) -> Identifiers:
    """Read the identifiers of the Part 10 file at `path`.

    Raises Refused (unparseable, missing_identifier, invalid_sop_instance_uid, invalid_uid) and OSError of the disk.
    """
    try:
        with path.open("rb") as file:
            values = _read(file, location)
    except PARSE_ERRORS as error:
        if is_trouble_of_the_disk(error):
            raise
        raise Refused(f"the data set cannot be parsed ({type(error).__name__})", reason=Reason.UNPARSEABLE) from None
    return _checked(values)


def is_trouble_of_the_disk(error: BaseException) -> bool:
    """Whether one of `PARSE_ERRORS` comes from the system: pydicom's own OSErrors on damaged input carry no errno."""
    return isinstance(error, OSError) and error.errno is not None


def _read(file: BinaryIO, location: DatasetLocation) -> dict[int, str]:
    file.seek(location.offset)
    source: BinaryIO = file
    if location.transfer_syntax_uid == DEFLATED:
        source = BytesIO(_inflate(file, MAX_INFLATED_HEADER_BYTES))
    ds = read_dataset(
        source,
        location.transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN,
        location.transfer_syntax_uid != EXPLICIT_BIG_ENDIAN,
        stop_when=_is_past_the_identifiers,
        defer_size=_MAX_VALUE_BYTES,
        specific_tags=[BaseTag(tag) for tag in _WANTED],
    )
    return {tag: value for tag in _WANTED if (value := _text(ds, tag)) is not None}


def _is_past_the_identifiers(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > SERIES_INSTANCE


def _text(ds: Dataset, tag: int) -> str | None:
    if tag not in ds:
        return None
    value: object = ds.get_item(tag, keep_deferred=True).value
    if not isinstance(value, bytes):
        raise TypeError("a UID is not a plain value")
    return value.decode("latin-1").rstrip("\0 ")


def _inflate(file: BinaryIO, limit: int) -> bytes:
    """The first `limit` bytes of a deflated data set (PS3.5 section A.5: raw deflate), however far a bomb would go."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    while len(out) < limit and not inflater.eof:
        piece = inflater.unconsumed_tail or file.read(1 << 16)
        if not piece:
            break
        out += inflater.decompress(piece, limit - len(out))
    return bytes(out)


def _checked(values: dict[int, str]) -> Identifiers:
    missing = sum(not values.get(tag) for tag in _WANTED)
    if missing == len(_WANTED):
        raise Refused("the data set holds none of its identifiers", reason=Reason.UNPARSEABLE)
    if missing:
        raise Refused("the data set lacks an identifier", reason=Reason.MISSING_IDENTIFIER)
    if not is_valid_uid(values[SOP_INSTANCE]):
        raise Refused("the SOP Instance UID breaks PS3.5 section 9.1", reason=Reason.INVALID_SOP_INSTANCE_UID)
    if not all(is_valid_uid(value) for value in values.values()):
        raise Refused("a UID breaks PS3.5 section 9.1", reason=Reason.INVALID_UID)
    return Identifiers(
        sop_class_uid=values[SOP_CLASS],
        sop_instance_uid=values[SOP_INSTANCE],
        study_instance_uid=values[STUDY_INSTANCE],
        series_instance_uid=values[SERIES_INSTANCE],
    )
