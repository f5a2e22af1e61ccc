"""One coded frame to an array, by imagecodecs (jpeg8, jpegls, jpeg2k, dicomrle) behind the guards of `guards`.

pylibjpeg and gdcm are not asked: they hold the GIL, gdcm can abort the process, and neither is an extra of ours. So a frame
that imagecodecs cannot decode is refused as damaged. A codec that is missing raises and is no verdict.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal
from dicomqc.core.errors import ConfigError
from dicomqc.sample.encapsulation import without_padding
from dicomqc.sample.guards import CodedSize, coded_size
from dicomqc.sample.jpeg2000 import refuse_fine_cuts
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import Coding
from dicomqc.sample.voi import StoredValues

_BITS_PER_BYTE: Final = 8
# The decoder of each family by its imagecodecs name; jpeg8 is libjpeg-turbo 3, which reads 8 to 16 bits and lossless too.
_DECODERS: Final = {
    Coding.RLE: "dicomrle_decode",
    Coding.JPEG: "jpeg8_decode",
    Coding.JPEG_LOSSLESS: "jpeg8_decode",
    Coding.JPEG_LS: "jpegls_decode",
    Coding.JPEG_2000: "jpeg2k_decode",
}
# Whose answer is unsigned always; OpenJPEG's has the sign that the codestream declares.
_INTO_MEMORY: Final = frozenset({Coding.JPEG, Coding.JPEG_LOSSLESS, Coding.JPEG_LS})


def decode_frame(
    frame: bytes,
    coding: Coding,
    *,
    rows: int,
    columns: int,
    stored: StoredValues,
    out: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    """One coded frame to integers [rows, columns] as the codec gives them (8 or 16 bits, either sign). Raises `Rejected`.

    `out` [rows, columns] is memory that the answer may use where the codec's type fits: new pages for every frame cost time.

    The frame must end in its marker, with little behind it (`without_padding`), and declare the data set's rows and columns,
    one component and a precision between BitsStored and BitsAllocated: some writers code 10 stored bits with a precision of 16.
    """
    if coding is Coding.RLE:
        return _rle(frame, rows, columns, stored.bits_allocated, out)
    whole = without_padding(frame)
    if whole is None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a frame does not end in its end-of-image marker")
    size = coded_size(whole, coding)
    expected = CodedSize(rows=rows, columns=columns, precision=size.precision, components=1)
    if size != expected or not stored.bits_stored <= size.precision <= stored.bits_allocated:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a frame's own rows, columns, bits or components are not the data set's")
    options: dict[str, object] = {}
    if coding is Coding.JPEG_2000:
        refuse_fine_cuts(whole)
        options["numthreads"] = 1
    if out is not None and coding in _INTO_MEMORY and (size.precision > _BITS_PER_BYTE) == (out.dtype.itemsize > 1):
        options["out"] = out.view(f"u{out.dtype.itemsize}")
    values = _call(coding, whole, **options)
    if values.shape != (rows, columns) or values.dtype.kind not in "iu":
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a decoded frame is not a grey image of the data set's size")
    return values


def _rle(frame: bytes, rows: int, columns: int, bits_allocated: int, memory: NDArray[np.generic] | None) -> NDArray[np.generic]:
    """PS3.5 annex G: one segment a byte of the sample; the output buffer bounds what a damaged frame can expand to."""
    depth = bits_allocated // _BITS_PER_BYTE
    if int.from_bytes(frame[:4], "little") != depth:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "an RLE frame has the wrong number of segments")
    size = rows * columns * depth
    out = np.empty(size, dtype=np.uint8) if memory is None else memory.view(np.uint8).reshape(size)
    values = _call(Coding.RLE, frame, np.dtype(f"<u{depth}"), out=out)
    if len(values) != len(out):
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "an RLE frame ends before its last row")
    return out.view(f"<u{depth}").reshape(rows, columns)


def _call(coding: Coding, frame: bytes, *args: object, **options: object) -> NDArray[np.generic]:
    library = _library()
    try:
        values: NDArray[np.generic] = getattr(library, _DECODERS[coding])(frame, *args, **options)
    except (
        library.Jpeg8Error,
        library.JpeglsError,
        library.Jpeg2kError,
        library.DicomrleError,
        ValueError,
    ) as error:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"the {coding} decoder refuses a frame") from error
    return values


@cache
def _library() -> ModuleType:
    try:
        return import_module("imagecodecs")
    except ImportError as error:
        raise ConfigError("imagecodecs is not installed: install dicomqc[score]") from error
