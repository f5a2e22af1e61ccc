"""The transfer syntaxes that the node reads (PS3.5 section 10, PS3.6 annex A), as one literal table.

Imports no decoder, so that the DICOM door can offer exactly what `sample` can read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicomqc.sample.elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding


class Coding(StrEnum):
    """How pixel data are coded; the family decides the decoder."""

    NATIVE = "native"
    RLE = "rle"
    JPEG = "jpeg"
    JPEG_LOSSLESS = "jpeg_lossless"
    JPEG_LS = "jpeg_ls"
    JPEG_2000 = "jpeg_2000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """One transfer syntax. `lossy`: decoded values may leave the stored bits and are clipped, not masked."""

    uid: str
    name: str
    coding: Coding
    encoding: Encoding = EXPLICIT_LITTLE
    deflated: bool = False
    lossy: bool = False


_ALL: Final = (
    Syntax(uid="1.2.840.10008.1.2", name="Implicit VR Little Endian", coding=Coding.NATIVE, encoding=IMPLICIT_LITTLE),
    Syntax(uid="1.2.840.10008.1.2.1", name="Explicit VR Little Endian", coding=Coding.NATIVE),
    Syntax(uid="1.2.840.10008.1.2.1.99", name="Deflated Explicit VR Little Endian", coding=Coding.NATIVE, deflated=True),
    Syntax(
        uid="1.2.840.10008.1.2.2",
        name="Explicit VR Big Endian",
        coding=Coding.NATIVE,
        encoding=Encoding(explicit=True, little=False),
    ),
    Syntax(uid="1.2.840.10008.1.2.5", name="RLE Lossless", coding=Coding.RLE),
    Syntax(uid="1.2.840.10008.1.2.4.50", name="JPEG Baseline", coding=Coding.JPEG, lossy=True),
    Syntax(uid="1.2.840.10008.1.2.4.51", name="JPEG Extended", coding=Coding.JPEG, lossy=True),
    Syntax(uid="1.2.840.10008.1.2.4.57", name="JPEG Lossless", coding=Coding.JPEG_LOSSLESS),
    Syntax(uid="1.2.840.10008.1.2.4.70", name="JPEG Lossless SV1", coding=Coding.JPEG_LOSSLESS),
    Syntax(uid="1.2.840.10008.1.2.4.80", name="JPEG-LS Lossless", coding=Coding.JPEG_LS),
    Syntax(uid="1.2.840.10008.1.2.4.81", name="JPEG-LS Near-lossless", coding=Coding.JPEG_LS, lossy=True),
    Syntax(uid="1.2.840.10008.1.2.4.90", name="JPEG 2000 Lossless", coding=Coding.JPEG_2000),
    Syntax(uid="1.2.840.10008.1.2.4.91", name="JPEG 2000", coding=Coding.JPEG_2000, lossy=True),
    Syntax(uid="1.2.840.10008.1.2.4.201", name="HTJ2K Lossless", coding=Coding.JPEG_2000),
    Syntax(uid="1.2.840.10008.1.2.4.202", name="HTJ2K Lossless RPCL", coding=Coding.JPEG_2000),
    Syntax(uid="1.2.840.10008.1.2.4.203", name="HTJ2K", coding=Coding.JPEG_2000, lossy=True),
)
SYNTAXES: Final[Mapping[str, Syntax]] = {syntax.uid: syntax for syntax in _ALL}
