"""Which cines the node may score, and on which frames: one pure function of the header.

The checks run from "what is it" to "how fast", and the first that fails names the reason: SOP class, subtraction, pixel data,
geometry, colour, bits, transfer syntax, frame count, length, frame rate.
"""

from collections.abc import Callable
from typing import Final, Literal

from dicomqc.core.cine import CineHeader, Eligible, Refusal, Refused
from dicomqc.sample.limits import DEFAULT_LIMITS
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.syntaxes import SYNTAXES

ANGIOGRAPHY_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
        "1.2.840.10008.5.1.4.1.1.12.1.1",  # Enhanced XA
        "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
        "1.2.840.10008.5.1.4.1.1.12.2.1",  # Enhanced XRF
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane (retired)
    }
)
SECONDARY_CAPTURE_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame Single Bit
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color
    }
)
_FLUOROSCOPIC_MODALITIES: Final = frozenset({"XA", "RF"})
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})


def eligibility(header: CineHeader, spec: FrameSpec, short: Literal["refuse", "pad"] = "refuse") -> Eligible | Refused:
    """Whether the cine may be scored by `spec`, and on which 1-based frame numbers.

    A cine that ends before `spec.last_frame` is too short; with `short="pad"` its last frame is repeated, if the window
    begins inside it (a clip of one single frame has no motion to judge).
    """
    refused = _sop_class(header) or _subtraction(header) or decodable(header)
    if refused is not None:
        return refused
    frames = header.frames or 0
    needed = spec.last_frame if short == "refuse" else spec.first
    if frames < needed:
        return Refused(reason=Refusal.TOO_SHORT, detail=f"NumberOfFrames {frames}, at least {needed} needed")
    refused = _frame_rate(header, spec)
    return refused or Eligible(frame_numbers=tuple(min(number, frames) for number in spec.frame_numbers()))


def decodable(header: CineHeader) -> Refused | None:
    """Why no frame of the object can be decoded, whatever it shows; null where decoding may begin."""
    return next((refused for check in _DECODABLE if (refused := check(header)) is not None), None)


def _sop_class(header: CineHeader) -> Refused | None:
    """Secondary Capture says nothing of its origin, so there the modality must."""
    captured = header.sop_class_uid in SECONDARY_CAPTURE_CLASSES and header.modality in _FLUOROSCOPIC_MODALITIES
    if captured or header.sop_class_uid in ANGIOGRAPHY_CLASSES:
        return None
    return Refused(reason=Refusal.NOT_A_CINE_ANGIOGRAM, detail="neither SOP class nor modality is X-ray angiography")


def _subtraction(header: CineHeader) -> Refused | None:
    if header.subtracted:
        return Refused(reason=Refusal.SUBTRACTED, detail="a subtracted (DSA) run")
    return None


def _pixel_data(header: CineHeader) -> Refused | None:
    if header.has_pixel_data:
        return None
    return Refused(reason=Refusal.NO_PIXEL_DATA, detail="no Pixel Data at the top level")


def _geometry(header: CineHeader) -> Refused | None:
    if not header.rows or not header.columns:
        return Refused(reason=Refusal.INVALID_GEOMETRY, detail="Rows or Columns is absent or zero")
    limit = DEFAULT_LIMITS.max_side
    if max(header.rows, header.columns) > limit:
        return Refused(reason=Refusal.TOO_LARGE, detail=f"a side of the frame is longer than {limit} pixels")
    return None


def _colour(header: CineHeader) -> Refused | None:
    if header.samples_per_pixel == 1 and header.photometric in _GREY:
        return None
    return Refused(
        reason=Refusal.UNSUPPORTED_PHOTOMETRIC, detail="neither MONOCHROME1 nor MONOCHROME2 with one sample per pixel"
    )


def _bits(header: CineHeader) -> Refused | None:
    allocated, stored = header.bits_allocated, header.bits_stored
    if allocated in {8, 16} and stored is not None and 1 <= stored <= allocated:
        return None
    return Refused(reason=Refusal.UNSUPPORTED_BITS, detail="BitsAllocated is not 8 or 16, or BitsStored does not fit into it")


def _transfer_syntax(header: CineHeader) -> Refused | None:
    if header.transfer_syntax_uid in SYNTAXES:
        return None
    return Refused(reason=Refusal.UNSUPPORTED_TRANSFER_SYNTAX, detail="the transfer syntax is not one that the node decodes")


def _frame_count(header: CineHeader) -> Refused | None:
    if header.frames is not None and header.frames >= 1:
        return None
    return Refused(reason=Refusal.INVALID_FRAME_COUNT, detail="NumberOfFrames is not a number of at least 1")


def _frame_rate(header: CineHeader, spec: FrameSpec) -> Refused | None:
    rate = header.frame_rate_hz
    if rate is None:
        return Refused(reason=Refusal.FRAME_RATE_UNKNOWN, detail="no attribute gives a usable frame rate")
    # A millionth more: a decimal string of 1000/14.5 is no slower than the rule allows.
    if abs(rate - spec.frame_rate_hz) > spec.frame_rate_tolerance_hz + 1e-6:
        wanted = f"{spec.frame_rate_hz:g} ± {spec.frame_rate_tolerance_hz:g}"
        return Refused(reason=Refusal.FRAME_RATE_OUT_OF_RANGE, detail=f"{rate:.2f} fps is outside {wanted}")
    return None


_DECODABLE: Final[tuple[Callable[[CineHeader], Refused | None], ...]] = (
    _pixel_data,
    _geometry,
    _colour,
    _bits,
    _transfer_syntax,
    _frame_count,
)
