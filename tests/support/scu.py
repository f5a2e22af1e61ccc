"""A pynetdicom sender that can also misbehave: raw files, lying command sets, transfers that stop half-way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from tests.support.parts import EXPLICIT_LE, XA

VERIFICATION = "1.2.840.10008.1.1"


@contextmanager
def association(
    port: int,
    contexts: Sequence[tuple[str, Sequence[str]]] = ((XA, (EXPLICIT_LE,)),),
    *,
    calling: str = "CATHLAB",
    called: str = "DICOMQC",
) -> Iterator[Any]:
    """Ask for an association; released (or aborted, where it is no longer established) at the end."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    for sop_class, syntaxes in contexts:
        ae.add_requested_context(sop_class, list(syntaxes))
    assoc = ae.associate("127.0.0.1", port, ae_title=called)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        elif not assoc.is_released and not assoc.is_aborted and not assoc.is_rejected:
            assoc.abort()


def send(assoc: Any, path: Path) -> int:
    """C-STORE the data set of a Part 10 file, byte for byte, with the UIDs of its file meta; returns the status."""
    # Left on: senders in several threads share the setting, and without it pynetdicom would encode the data set anew.
    _config.STORE_SEND_CHUNKED_DATASET = True
    status = assoc.send_c_store(path)
    return int(status.Status) if "Status" in status else -1


def begin(assoc: Any, dataset: bytes, *, fragments: int, instance: str = "1.2.3.1", sop_class: str = XA) -> None:
    """Send a C-STORE command and the first `fragments` pieces of 16 KiB of its data set, and no more."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, instance
    request.DataSet = BytesIO(dataset)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    context_id = assoc.accepted_contexts[0].context_id
    for number, pdata in enumerate(message.encode_msg(context_id, 16384)):
        if number > fragments:
            return
        assoc.dul.send_pdu(pdata)
