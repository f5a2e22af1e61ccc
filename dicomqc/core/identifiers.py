"""DICOM identifiers and digests: what is well formed, and the one way a data set is named by its bytes."""

import hashlib
import re
from collections.abc import Iterable

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
MAX_UID_LENGTH = 64
IMPLEMENTATION_CLASS_UID = "2.25.303133456681800432087434864015746951837"
IMPLEMENTATION_VERSION_NAME = "DICOMQC_0.1"


def is_valid_uid(value: str) -> bool:
    """Whether `value` is a UID by PS3.5 section 9.1, leading zeros of a component tolerated (real scanners write them)."""
    return len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value) is not None


def is_valid_ae_title(value: str) -> bool:
    """Whether `value` is an AE title by PS3.5 table 6.2-1: 1 to 16 printable characters, no backslash, not only spaces."""
    return _AE.fullmatch(value) is not None and value.strip() != ""


def dataset_digest(transfer_syntax_uid: str, chunks: Iterable[bytes | memoryview]) -> str:
    """The hex SHA-256 that names an object: transfer syntax UID, a zero byte, then the data set's bytes (I3, I4).

    File meta (group 0002) stays outside, since a forwarding node may write its own.
    """
    digest = hashlib.sha256(transfer_syntax_uid.encode("ascii") + b"\0")
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def uid_hash(uid: str) -> str:
    """Twelve hex digits that stand for `uid` in logs, where no identifier of a patient's study may appear."""
    return hashlib.sha256(uid.encode("utf-8", "surrogateescape")).hexdigest()[:12]
