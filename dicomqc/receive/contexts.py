"""Which SOP classes and transfer syntaxes the node accepts, and the rule that the sender's own order of syntaxes wins."""

from collections.abc import Collection, Sequence

from pydicom._uid_dict import UID_dictionary

from dicomqc.core.options import StorageClasses

VERIFICATION = "1.2.840.10008.1.1"

ANGIOGRAPHY_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane, retired
    "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
    "1.2.840.10008.5.1.4.1.1.12.1.1",  # Enhanced XA
    "1.2.840.10008.5.1.4.1.1.12.2.1",  # Enhanced XRF
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame Single Bit Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
)

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"

TRANSFER_SYNTAXES = (
    IMPLICIT_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    EXPLICIT_BIG_ENDIAN,  # retired
    DEFLATED,
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",  # RLE Lossless
)

_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
_NON_PATIENT = ("1.2.840.10008.5.1.4.1.1.200.", "1.2.840.10008.5.1.4.1.1.201.")  # protocols, inventories: in no study


def storage_classes(choice: StorageClasses) -> tuple[str, ...]:
    """The storage SOP classes to accept: those of angiography, or every one that pydicom's dictionary knows, retired too.

    Private classes stay out: what they hold is not known to be storage at all.
    """
    match choice:
        case StorageClasses.ANGIOGRAPHY:
            return ANGIOGRAPHY_CLASSES
        case StorageClasses.ALL:
            return tuple(dict.fromkeys((*ANGIOGRAPHY_CLASSES, *(uid for uid in UID_dictionary if _is_storage(uid)))))


def first_acceptable(offered: Sequence[str], accepted: Collection[str]) -> str | None:
    """The sender's first offered transfer syntax that we accept: a JPEG offered before Implicit VR stays a JPEG."""
    return next((uid for uid in offered if uid in accepted), None)


def _is_storage(uid: str) -> bool:
    name, kind = UID_dictionary[uid][:2]
    return kind == "SOP Class" and uid.startswith(_STORAGE_ROOT) and not uid.startswith(_NON_PATIENT) and "Storage" in name
