"""The options of each stage as plain frozen values; `settings` builds them, so that no stage knows pydantic."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from dicomqc.core.verdict import Mode


class StorageClasses(StrEnum):
    """Which storage SOP classes the node accepts."""

    ANGIOGRAPHY = "angiography"
    ALL = "all"


class SeriesRule(StrEnum):
    """When a series is satisfactory: at least one of its scored cines is, or all of them are."""

    ANY = "any"
    ALL = "all"


class SeriesDeliver(StrEnum):
    """What `enforce` delivers of a satisfactory series: its satisfactory cines, or everything judged."""

    SATISFACTORY = "satisfactory"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveOptions:
    """The C-STORE SCP. Empty `allowed_callers` admits nobody but local peers; ("*",) admits every calling AE title."""

    ae_title: str
    host: str
    port: int
    allowed_callers: tuple[str, ...]
    called_ae_required: bool
    max_associations: int
    network_timeout_seconds: float
    storage_classes: StorageClasses


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolOptions:
    """Where the bytes lie; null `retention_days` keeps them for ever."""

    root: Path
    min_free_bytes: int
    retention_days: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """The scoring worker; null `threshold` takes the card's. `short` says what becomes of cines shorter than the window."""

    model: str
    device: str
    precision: Literal["fp32", "bf16"]
    threshold: float | None
    batch: int
    max_attempts: int
    allow_demonstration: bool
    registry: Path
    cache: Path
    mode: Mode
    short: Literal["refuse", "pad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions:
    """How a series is judged and when it settles."""

    rule: SeriesRule
    deliver: SeriesDeliver
    quiet_seconds: float
    max_open_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A downstream application entity. `decompress` allows a lossless Explicit VR LE copy where it refuses a syntax."""

    name: str
    ae_title: str
    host: str
    port: int
    decompress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """Back-off of deliveries: the first wait, and how long a delivery is tried in all."""

    first_seconds: float
    max_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """The forwarder. `revisions`: hold delivers only the first bytes seen under a SOP Instance UID."""

    calling_ae: str
    mode: Mode
    series: SeriesOptions
    destinations: tuple[Destination, ...]
    retry: RetryOptions
    revisions: Literal["hold", "all"]
    network_timeout_seconds: float
    retention_days: float | None
