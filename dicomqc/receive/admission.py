"""Who may open an association: pure decisions, with the A-ASSOCIATE-RJ values of PS3.8 Table 9-21."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from dicomqc.core.options import ReceiveOptions
from dicomqc.receive.status import Reason
from dicomqc.spool.capacity import Level

ANYBODY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why an association is rejected: PS3.8 Table 9-21 `result`, `source` and `diagnostic`, and our own `reason` for logs."""

    result: int
    source: int
    diagnostic: int
    reason: Reason


CALLING_AE_NOT_ALLOWED = Rejection(result=1, source=1, diagnostic=3, reason=Reason.CALLING_AE_NOT_ALLOWED)
CALLED_AE_UNKNOWN = Rejection(result=1, source=1, diagnostic=7, reason=Reason.CALLED_AE_UNKNOWN)
NO_SPACE = Rejection(result=2, source=3, diagnostic=1, reason=Reason.NO_SPACE)
LEDGER_UNAVAILABLE = Rejection(result=2, source=3, diagnostic=1, reason=Reason.LEDGER_UNAVAILABLE)
TOO_MANY_ASSOCIATIONS = Rejection(result=2, source=3, diagnostic=2, reason=Reason.TOO_MANY_ASSOCIATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks for an association; AE titles without padding, `peer` an IP address."""

    calling_ae: str
    called_ae: str
    peer: str


def admit(caller: Caller, options: ReceiveOptions, *, open_associations: int, level: Level) -> Rejection | None:
    """Null admits. Permanent reasons come first, so that a stranger learns nothing of the node's load."""
    if not _is_allowed(caller, options.allowed_callers):
        return CALLING_AE_NOT_ALLOWED
    if options.called_ae_required and caller.called_ae != options.ae_title.strip():
        return CALLED_AE_UNKNOWN
    if level >= Level.CRITICAL:
        return NO_SPACE
    if open_associations >= options.max_associations:
        return TOO_MANY_ASSOCIATIONS
    return None


def _is_allowed(caller: Caller, allowed: tuple[str, ...]) -> bool:
    if not allowed:
        return is_local(caller.peer)
    return ANYBODY in allowed or caller.calling_ae in {ae.strip() for ae in allowed}


def is_local(peer: str) -> bool:
    """Whether `peer` is this machine's own loopback address; false for anything that is not an IP address."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
