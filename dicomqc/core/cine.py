"""What a header says of a cine, whether the node may score it, and the closed list of reasons why not."""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why a cine is ineligible (a verdict, not an error). The closed list of docs/ledger.md."""

    NOT_DICOM = "not_dicom"
    TRUNCATED = "truncated"
    UNREADABLE_HEADER = "unreadable_header"
    NOT_A_CINE_ANGIOGRAM = "not_a_cine_angiogram"
    SUBTRACTED = "subtracted"
    NO_PIXEL_DATA = "no_pixel_data"
    INVALID_GEOMETRY = "invalid_geometry"
    INVALID_FRAME_COUNT = "invalid_frame_count"
    TOO_SHORT = "too_short"
    FRAME_RATE_UNKNOWN = "frame_rate_unknown"
    FRAME_RATE_OUT_OF_RANGE = "frame_rate_out_of_range"
    UNSUPPORTED_PHOTOMETRIC = "unsupported_photometric"
    UNSUPPORTED_BITS = "unsupported_bits"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    DAMAGED_PIXEL_DATA = "damaged_pixel_data"
    TOO_LARGE = "too_large"


class Failure(StrEnum):
    """Why an instance ended in quarantine (`outcome` error). The closed list of docs/ledger.md."""

    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMED_OUT = "decoder_timed_out"
    DECODER_MEMORY = "decoder_memory"
    WORKER_CRASHED = "worker_crashed"
    DIGEST_MISMATCH = "digest_mismatch"
    FILE_MISSING = "file_missing"
    SCORER_FAILED = "scorer_failed"
    UNEXPECTED = "unexpected"


class FrameRateSource(StrEnum):
    """The attribute that a frame rate was read from; the last two are low-confidence integers."""

    FRAME_TIME = "FrameTime"
    FRAME_TIME_VECTOR = "FrameTimeVector"
    ACQUISITION_DATE_TIMES = "FrameAcquisitionDateTime"
    CINE_RATE = "CineRate"
    RECOMMENDED_DISPLAY_FRAME_RATE = "RecommendedDisplayFrameRate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CineHeader:
    """The facts of one object's header that eligibility, decoding and the ledger need; null where absent or unusable.

    `frame_rate_hz` follows the rule of docs/ledger.md; `frame_rate_conflict`: another attribute differs by more than 1 fps.
    `bits_stored` and `bits_allocated` count bits; angles are degrees as stored (their signs are not to be trusted).
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    frames: int | None
    rows: int | None
    columns: int | None
    samples_per_pixel: int
    bits_allocated: int | None
    bits_stored: int | None
    signed: bool
    photometric: str
    frame_rate_hz: float | None
    frame_rate_source: FrameRateSource | None
    frame_rate_conflict: bool
    subtracted: bool
    has_pixel_data: bool
    primary_angle_deg: float | None
    secondary_angle_deg: float | None
    manufacturer: str
    model_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The header or a guard refuses the cine: `reason` for scripts, `detail` for people (names the rule, no patient data)."""

    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """The cine may be scored on these 1-based frame numbers (a short cine padded repeats its last frame's number)."""

    frame_numbers: tuple[int, ...]
