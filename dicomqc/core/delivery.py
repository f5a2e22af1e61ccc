"""One delivery of one instance to one destination, and what a peer's C-STORE status means (PS3.7 C, PS3.4 table B.2-1)."""

from dataclasses import dataclass
from enum import StrEnum

from dicomqc.core.instance import StoredInstance


class Fate(StrEnum):
    """What becomes of a delivery after one attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    PERMANENT = "permanent"


class SendFailure(StrEnum):
    """Why an attempt failed; all but `peer_status` mean that the peer gave no status. The closed list of docs/ledger.md."""

    PEER_STATUS = "peer_status"
    UNREACHABLE = "unreachable"
    REJECTED_TRANSIENT = "association_rejected_transient"
    REJECTED_PERMANENT = "association_rejected_permanent"
    ABORTED = "association_aborted"
    TIMED_OUT = "timed_out"
    NO_ACCEPTED_CONTEXT = "no_accepted_context"
    DIGEST_MISMATCH = "digest_mismatch"
    FILE_MISSING = "file_missing"
    SENDER_CRASHED = "sender_crashed"
    UNKNOWN_DESTINATION = "unknown_destination"
    UNEXPECTED = "unexpected"


PERMANENT_FAILURES = frozenset(
    {SendFailure.REJECTED_PERMANENT, SendFailure.NO_ACCEPTED_CONTEXT, SendFailure.UNKNOWN_DESTINATION}
)
HOPELESS_FAILURES = frozenset({SendFailure.DIGEST_MISMATCH, SendFailure.FILE_MISSING})

SUCCESS = 0x0000
DUPLICATE_SOP_INSTANCE = 0x0111
PROCESSING_FAILURE = 0x0110
_PERMANENT_EXACT = frozenset({0x0122, 0x0124})
_PERMANENT_BYTES = frozenset({0xA8, 0xA9, *range(0xC0, 0xD0)})
_WARNING_BYTES = frozenset(range(0xB0, 0xC0))


def fate_of_status(status: int) -> Fate:
    """What the peer's own status asks for.

    0000, Bxxx and 0111 are delivered; A7xx and 0110 are tried again; A8xx, A9xx, Cxxx, 0122 and 0124 are permanent.

    An unknown status is tried again: it is the choice that loses nothing.
    """
    if status in (SUCCESS, DUPLICATE_SOP_INSTANCE) or status >> 8 in _WARNING_BYTES:
        return Fate.DELIVERED
    if status in _PERMANENT_EXACT or status >> 8 in _PERMANENT_BYTES:
        return Fate.PERMANENT
    return Fate.RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A lease on one delivery: who holds `token` may end it (I5). `seconds_since_asked` counts from its settling."""

    id: int
    token: str
    attempts: int
    seconds_since_asked: float
    destination: str
    instance: StoredInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt came to: the peer's status, or the failure that kept it from answering."""

    status: int | None = None
    failure: SendFailure | None = None
