"""The one place where an error becomes a DIMSE status (PS3.4 Table B.2-1, PS3.7 Annex C), and the reasons of refusals."""

from enum import IntEnum, StrEnum

from dicomqc.core.errors import IntegrityError, OutOfResources, PermanentError, Refused, TransientError


class Reason(StrEnum):
    """Why the node refused an object or an association. The closed list of docs/ledger.md."""

    NO_SPACE = "no_space"
    LEDGER_UNAVAILABLE = "ledger_unavailable"
    STORAGE_FAILED = "storage_failed"
    UID_MISMATCH = "uid_mismatch"
    SOP_CLASS_MISMATCH = "sop_class_mismatch"
    UNPARSEABLE = "unparseable"
    MISSING_IDENTIFIER = "missing_identifier"
    INVALID_SOP_INSTANCE_UID = "invalid_sop_instance_uid"
    INVALID_UID = "invalid_uid"
    INCOMPLETE = "incomplete"
    UNEXPECTED = "unexpected"
    CALLING_AE_NOT_ALLOWED = "calling_ae_not_allowed"
    CALLED_AE_UNKNOWN = "called_ae_unknown"
    TOO_MANY_ASSOCIATIONS = "too_many_associations"


class Status(IntEnum):
    """The C-STORE statuses that this node answers with.

    PS3.4 Table B.2-1: A7xx refused, out of resources; A9xx data set does not match SOP class; Cxxx cannot understand, whose
    last digits are ours. PS3.7 C: 0110 processing failure; 0117 the SOP Instance UID breaks the rules of UIDs.
    """

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_SOP_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    UNPARSEABLE = 0xC000
    MISSING_IDENTIFIER = 0xC001
    INVALID_UID = 0xC002
    INCOMPLETE = 0xC003


_BY_REASON = {
    Reason.NO_SPACE: Status.OUT_OF_RESOURCES,
    Reason.LEDGER_UNAVAILABLE: Status.OUT_OF_RESOURCES,
    Reason.STORAGE_FAILED: Status.OUT_OF_RESOURCES,
    Reason.UID_MISMATCH: Status.DOES_NOT_MATCH,
    Reason.SOP_CLASS_MISMATCH: Status.DOES_NOT_MATCH,
    Reason.UNPARSEABLE: Status.UNPARSEABLE,
    Reason.MISSING_IDENTIFIER: Status.MISSING_IDENTIFIER,
    Reason.INVALID_SOP_INSTANCE_UID: Status.INVALID_SOP_INSTANCE,
    Reason.INVALID_UID: Status.INVALID_UID,
    Reason.INCOMPLETE: Status.INCOMPLETE,
}
_REASONS = frozenset(Reason)


def reason_of(error: BaseException) -> Reason:
    """The closed-list reason of an error met while storing an object."""
    match error:
        case Refused() if error.reason in _REASONS:
            return Reason(error.reason)
        case OutOfResources() | OSError() | IntegrityError():
            return Reason.STORAGE_FAILED
        case TransientError():
            return Reason.LEDGER_UNAVAILABLE
        case PermanentError() | _:
            return Reason.UNEXPECTED


def status_of(error: BaseException) -> Status:
    """The status that tells the peer whether another attempt may help: A7xx may, 0117, A9xx and Cxxx will not.

    What is not foreseen is 0110, which senders may try again too: the choice that loses nothing.
    """
    return _BY_REASON.get(reason_of(error), Status.PROCESSING_FAILURE)
