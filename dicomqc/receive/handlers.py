"""pynetdicom's events, turned into calls of admission, associations and store; every peer gets an answer, none a traceback."""

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from pynetdicom import evt

from dicomqc.core.errors import Refused, Unavailable
from dicomqc.core.identifiers import uid_hash
from dicomqc.core.options import ReceiveOptions, SpoolOptions
from dicomqc.ledger.engine import Ledger
from dicomqc.receive import admission, contexts, wire
from dicomqc.receive.admission import Caller, Rejection
from dicomqc.receive.associations import Associations, Live
from dicomqc.receive.status import Reason, Status, reason_of, status_of
from dicomqc.receive.store import Arrival, store
from dicomqc.spool import capacity

log = structlog.get_logger()
_COMMAND = 0x01
_LAST = 0x02
_NAMED_REJECTIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The handlers of one receiver; `events` is what pynetdicom binds."""

    options: ReceiveOptions
    spool: SpoolOptions
    ledger: Ledger
    associations: Associations
    _admitting: threading.Lock = field(default_factory=threading.Lock)

    def events(self) -> list[tuple[Any, Any]]:
        """Event and handler pairs for `AE.make_server`."""
        return [
            (evt.EVT_CONN_OPEN, self.on_connection),
            (evt.EVT_REQUESTED, self.on_request),
            (evt.EVT_ESTABLISHED, self.on_established),
            (evt.EVT_PDU_RECV, self.on_pdu),
            (evt.EVT_DIMSE_RECV, self.on_message),
            (evt.EVT_C_ECHO, self.on_echo),
            (evt.EVT_C_STORE, self.on_store),
            (evt.EVT_RELEASED, self.on_released),
            (evt.EVT_ABORTED, self.on_aborted),
        ]

    def on_connection(self, event: Any) -> None:
        """A connection was accepted; nothing was read yet."""
        wire.tame(event.assoc.dul.socket, timeout_seconds=self.options.network_timeout_seconds)

    def on_request(self, event: Any) -> None:
        """Admit or reject (A-ASSOCIATE-RJ, PS3.8 section 9.3.4), and let the sender's order of transfer syntaxes win."""
        assoc = event.assoc
        request = assoc.requestor.primitive
        caller = Caller(
            calling_ae=request.calling_ae_title.strip(),
            called_ae=request.called_ae_title.strip(),
            peer=str(assoc.requestor.address),
        )
        for cx in request.presentation_context_definition_list:
            chosen = contexts.first_acceptable(cx.transfer_syntax, contexts.TRANSFER_SYNTAXES)
            if chosen is not None:
                cx.transfer_syntax = [chosen]
        with self._admitting:  # two at once must not both be the last one that the limit admits
            rejection = self._admit(assoc, caller)
        if rejection is not None:
            log.warning(
                "association_rejected",
                calling_ae=caller.calling_ae,
                called_ae=caller.called_ae,
                peer=caller.peer,
                reason=rejection.reason,
            )
            assoc.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
            assoc.kill()

    def _admit(self, assoc: Any, caller: Caller) -> Rejection | None:
        level = capacity.level(self.spool.root, self.spool.min_free_bytes)
        rejection = admission.admit(caller, self.options, open_associations=len(self.associations), level=level)
        if rejection is not None:
            return rejection
        try:
            self.associations.open(assoc, caller)
        except Unavailable as error:
            log.warning("ledger_unavailable", stage="admission", error=type(error).__name__)
            return admission.LEDGER_UNAVAILABLE
        return None

    def on_established(self, event: Any) -> None:
        """Log the SOP classes whose contexts were not accepted; a sender that proposes everything fills no log."""
        live = self.associations.get(event.assoc)
        if live is None:
            return
        rejected = Counter(str(cx.abstract_syntax) for cx in event.assoc.rejected_contexts)
        for sop_class, count in list(rejected.items())[:_NAMED_REJECTIONS]:
            live.log.info("context_rejected", sop_class=sop_class, count=count)
        if len(rejected) > _NAMED_REJECTIONS:
            live.log.info("context_rejected", reason="other_sop_classes", count=len(rejected) - _NAMED_REJECTIONS)

    def on_pdu(self, event: Any) -> None:
        """Count what arrives of a data set (PS3.8 Annex E.2: bit 0 of the control header marks a command set)."""
        live = self.associations.get(event.assoc)
        items = getattr(event.pdu, "presentation_data_value_items", None)
        if live is None or items is None:
            return
        for item in items:
            value = item.presentation_data_value
            if value[0] & _COMMAND:
                live.begin_message()
            else:
                live.arrive(len(value) - 1)

    def on_message(self, event: Any) -> None:
        """A whole message has arrived; its handler follows in another thread."""
        live = self.associations.get(event.assoc)
        message_id = getattr(event.message.command_set, "MessageID", None)
        if live is not None and message_id is not None:
            live.complete(int(message_id))

    def on_echo(self, event: Any) -> int:
        """C-ECHO (PS3.4 Annex A)."""
        del event
        return Status.SUCCESS

    def on_store(self, event: Any) -> int:
        """C-STORE (PS3.4 Annex B): Success only after the object is durable and in the ledger (I1)."""
        live = self.associations.get(event.assoc)
        if live is None:  # it ended while its last object waited: no answer can reach the peer
            return Status.PROCESSING_FAILURE
        try:
            return self._store(event, live)
        finally:
            live.transferring = False

    def _store(self, event: Any, live: Live) -> int:
        started = time.perf_counter()
        try:
            recorded = store(_arrival(event, live), self.ledger, self.spool)
        except Exception as error:  # noqa: BLE001 - the SCP's boundary: whatever happens, the peer gets a named status
            status = status_of(error)
            live.log.warning(
                "object_refused",
                status=f"0x{status:04X}",
                reason=reason_of(error),
                error=type(error).__name__,
                uid_hash=uid_hash(str(event.request.AffectedSOPInstanceUID)),
                sop_class=str(event.context.abstract_syntax),
            )
            return status
        live.stored += 1
        live.log.info(
            "object_stored",
            instance=recorded.instance.id,
            intake=recorded.intake,
            bytes=recorded.instance.size_bytes,
            seconds=round(time.perf_counter() - started, 4),
            sop_class=recorded.instance.sop_class_uid,
            transfer_syntax=recorded.instance.transfer_syntax_uid,
        )
        return Status.SUCCESS

    def on_released(self, event: Any) -> None:
        """The peer released the association."""
        self.end(event.assoc, "released")

    def on_aborted(self, event: Any) -> None:
        """The association was aborted, by the peer, by a time-out or by us."""
        self.end(event.assoc, "aborted")

    def end(self, assoc: Any, reason: str) -> None:
        """Close the association's row and remove what an unfinished transfer left."""
        if self.associations.close(assoc, reason=reason):
            discard_unfinished(assoc)


def _arrival(event: Any, live: Live) -> Arrival:
    """The request as a value. Raises Refused where it cannot be one."""
    request = event.request
    data_bytes = live.take_count(int(request.MessageID))
    if event.dataset_path is None:
        raise Refused("the request has no data set", reason=Reason.INCOMPLETE)
    if request.AffectedSOPClassUID != event.context.abstract_syntax:
        raise Refused("the request is of another SOP class than its presentation context", reason=Reason.SOP_CLASS_MISMATCH)
    return Arrival(
        temporary=Path(event.dataset_path),
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        data_bytes=data_bytes,
        calling_ae=live.caller.calling_ae,
        peer=live.caller.peer,
        association_id=live.id,
    )


def discard_unfinished(assoc: Any) -> None:
    """Remove the temporary files of messages that were never handled: pynetdicom 3.0 leaves them behind.

    The attributes are private to pynetdicom; where a later version has none, the sweep of a dead owner's folder remains.
    """
    unfinished = [getattr(assoc.dimse, "message", None)]
    context_id, message = assoc.dimse.get_msg(block=False)
    while context_id is not None:
        unfinished.append(message)
        context_id, message = assoc.dimse.get_msg(block=False)
    for each in unfinished:
        file = getattr(each, "_data_set_file", None) or getattr(each, "_dataset_file", None)
        if file is not None:
            with suppress(OSError):  # a full disk: what was buffered cannot be written, and need not be
                file.close()
            Path(file.name).unlink(missing_ok=True)
