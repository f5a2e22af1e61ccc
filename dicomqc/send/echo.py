"""C-ECHO to a peer, with the reason in words where it fails: what `dicomqc echo AE@HOST:PORT` prints."""

import time
from dataclasses import dataclass

from dicomqc.core.delivery import SendFailure
from dicomqc.send.association import Association, AssociationFailed, Peer
from dicomqc.send.wire import IMPLICIT_LITTLE, VERIFICATION


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoResult:
    """What came of it: `status` if the peer answered, otherwise `failure` and its `reason` in words for people."""

    associated: bool
    status: int | None
    seconds: float
    failure: SendFailure | None
    reason: str | None


def echo(ae_title: str, host: str, port: int, calling_ae: str, timeout: float) -> EchoResult:
    """Associate with `ae_title` at `host`:`port` as `calling_ae`, verify, release; `timeout` in seconds without progress.

    A peer that cannot be reached or refuses is a result, not an error.
    """
    peer = Peer(host=host, port=port, called_ae=ae_title, calling_ae=calling_ae)
    pair = (VERIFICATION, IMPLICIT_LITTLE)
    started = time.monotonic()
    associated = False
    status: int | None = None
    failure: SendFailure | None = None
    reason: str | None = None
    try:
        with Association.request(peer, [pair], timeout_seconds=timeout, cancelled=lambda: False) as assoc:
            associated = True
            if pair in assoc.accepted:
                status = assoc.echo()
            else:
                failure, reason = SendFailure.NO_ACCEPTED_CONTEXT, "the peer does not accept the Verification SOP class"
    except AssociationFailed as error:
        failure, reason = error.failure, str(error)
    seconds = time.monotonic() - started
    return EchoResult(associated=associated, status=status, seconds=seconds, failure=failure, reason=reason)
