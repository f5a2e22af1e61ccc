"""What the node knows of one stored SOP Instance."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dicomqc.core.lifecycle import InstanceState


class RevisionNote(StrEnum):
    """How a later revision of a SOP Instance UID differs from the first one held (I3)."""

    SYNTAX = "syntax"
    ELEMENTS = "elements"
    PIXELS = "pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """One object as it came off the wire, durable in the spool, not yet in the ledger.

    `digest` is `core.identifiers.dataset_digest`; `path` is relative to the spool's root; `size_bytes` counts the data set
    without file meta.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    digest: str
    path: str
    size_bytes: int
    calling_ae: str
    peer: str
    association_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """A row of `instances`. `revision` is 1 for the first bytes seen under a SOP Instance UID."""

    id: int
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    digest: str
    path: str
    size_bytes: int
    calling_ae: str
    revision: int
    revision_note: RevisionNote | None
    state: InstanceState
    reason: str | None
    attempts: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedInstance:
    """A lease on one instance: who holds `token` may judge it (I5). `alone`: it was claimed without batch-mates (I6)."""

    instance: StoredInstance
    token: str
    attempts: int
    alone: bool
