"""The receiver on pynetdicom: C-ECHO and C-STORE SCP. A replaceable part: everything it decides lies in other modules."""

import errno
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import structlog
from pynetdicom import AE, AllStoragePresentationContexts, register_uid
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class
from pynetdicom.transport import ThreadedAssociationServer

from dicomqc.core.errors import ConfigError, Unavailable
from dicomqc.core.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomqc.core.options import ReceiveOptions, SpoolOptions, StorageClasses
from dicomqc.ledger.engine import Ledger
from dicomqc.receive import contexts, wire
from dicomqc.receive.associations import HEARTBEAT_SECONDS, Associations, close_dead
from dicomqc.receive.handlers import Handlers
from dicomqc.receive.quiet import library_settings
from dicomqc.receive.reconcile import GRACE_SECONDS, ReconcileReport, reconcile
from dicomqc.spool import capacity
from dicomqc.spool.capacity import Level
from dicomqc.spool.write import Incoming

log = structlog.get_logger()
TICK_SECONDS = 0.2
STOP_SECONDS = 3.0
_SPARE_CONNECTIONS = 16
# What does not mend itself; a full or failing disk may.
_UNUSABLE = frozenset({errno.EACCES, errno.EEXIST, errno.ENOTDIR, errno.EPERM, errno.EROFS})


def serve(
    options: ReceiveOptions,
    ledger: Ledger,
    spool: SpoolOptions,
    stop: threading.Event,
    ready: Callable[[int], None] | None = None,
    *,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Receive until `stop` is set; `ready` is called with the port once connections are accepted (`port` 0 takes a free one).

    Returns after every association has ended. Raises ConfigError (cannot listen, no usable spool) and Unavailable (no ledger).
    Orphans of a crash are adopted once they are `grace_seconds` old.
    Sets libraries' process-wide settings meanwhile (`receive.quiet`): one receiver a process.
    """
    associations = Associations(ledger, heartbeat_seconds=heartbeat_seconds)
    handlers = Handlers(options=options, spool=spool, ledger=ledger, associations=associations)
    with _temporaries(spool.root) as incoming, library_settings(incoming.path):
        report = _reconcile(ledger, spool, grace_seconds)
        with _listening(options, handlers) as port:
            log.info("receiver_started", port=port)
            if ready is not None:
                ready(port)
            with _again(ledger, spool, grace_seconds) if report.young else nullcontext():
                _watch(handlers, stop)
    log.info("receiver_stopped")


def _temporaries(root: Path) -> Incoming:
    try:
        return Incoming(root)
    except OSError as error:
        if error.errno in _UNUSABLE:
            raise ConfigError(f"spool.root: {root} cannot be used ({error.strerror})") from error
        raise


class _Server(ThreadedAssociationServer):  # type: ignore[misc] # pynetdicom is untyped for us
    """The stock server with a longer backlog and a bound on connections that have not yet asked for an association."""

    request_queue_size = 128
    max_connections = 1 << 16

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Refuse the connection where silent peers already hold the spare threads."""
        return len(self.active_associations) < self.max_connections

    def shutdown(self) -> None:
        """Stop accepting; the stock method also leaves a list that only `AE.start_server` enters."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()


@contextmanager
def _listening(options: ReceiveOptions, handlers: Handlers) -> Iterator[int]:
    ae = _application_entity(options)
    try:
        server = ae.make_server((options.host, options.port), evt_handlers=handlers.events(), server_class=_Server)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"receive.port: cannot listen on {options.host}:{options.port} ({reason})") from error
    server.max_connections = 2 * options.max_associations + _SPARE_CONNECTIONS
    acceptor = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": TICK_SECONDS}, name="acceptor")
    acceptor.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        acceptor.join()
        _end_all(ae, handlers)


def _application_entity(options: ReceiveOptions) -> Any:
    ae = AE(ae_title=options.ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = wire.ADVERTISED_PDU_BYTES
    # Our own admission counts; pynetdicom's count also holds threads that are just ending.
    ae.maximum_associations = 1 << 16
    ae.network_timeout = options.network_timeout_seconds
    ae.acse_timeout = options.network_timeout_seconds
    ae.dimse_timeout = options.network_timeout_seconds
    ae.add_supported_context(contexts.VERIFICATION)
    for uid in _storage_classes(options.storage_classes):
        if not issubclass(uid_to_service_class(uid), StorageServiceClass):
            # Retired classes are unknown to pynetdicom, which would then have no service for them.
            register_uid(uid, f"Retired_{uid.replace('.', '_')}", StorageServiceClass)
        ae.add_supported_context(uid, list(contexts.TRANSFER_SYNTAXES))
    return ae


def _storage_classes(choice: StorageClasses) -> list[str]:
    chosen = list(contexts.storage_classes(choice))
    if choice is StorageClasses.ALL:
        chosen += [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts]
    return list(dict.fromkeys(chosen))


def _watch(handlers: Handlers, stop: threading.Event) -> None:
    """Until `stop`: renew leases, close what died silently, and guard the volume."""
    while not stop.wait(TICK_SECONDS):
        close_dead(handlers.associations, lambda assoc: bool(assoc.is_alive()), handlers.end)
        handlers.associations.beat()
        if capacity.level(handlers.spool.root, handlers.spool.min_free_bytes) is Level.EXHAUSTED:
            _abort_transfers(handlers)


def _abort_transfers(handlers: Handlers) -> None:
    """End transfers under way before they fill the volume that the ledger may share; the senders will try again."""
    for assoc, live in handlers.associations.snapshot():
        if live.transferring:
            live.log.error("transfer_aborted", reason="no_space", bytes=live.arrived_bytes)
            assoc.abort(block=False)


def _end_all(ae: Any, handlers: Handlers) -> None:
    """Abort every association; one whose thread waits for a stalled peer loses its connection."""
    alive = list(ae.active_associations)
    for assoc in alive:
        assoc.abort(block=False)
    patience = time.monotonic() + STOP_SECONDS / 2
    for assoc in alive:
        assoc.join(max(patience - time.monotonic(), 0.0))
        if assoc.is_alive():
            wire.drop(assoc.dul.socket)
    patience = time.monotonic() + STOP_SECONDS / 2
    for assoc in alive:
        assoc.join(max(patience - time.monotonic(), 0.0))
        handlers.end(assoc, "stopped")


@contextmanager
def _again(ledger: Ledger, spool: SpoolOptions, grace_seconds: float) -> Iterator[None]:
    """Reconcile once more when the orphans of the crash before this start have come of age."""
    cancelled = threading.Event()

    def pass_when_due() -> None:
        if cancelled.wait(grace_seconds):
            return
        try:
            _reconcile(ledger, spool, grace_seconds)
        except (Unavailable, OSError) as error:
            log.warning("reconcile_failed", error=type(error).__name__)

    later = threading.Thread(target=pass_when_due, name="reconcile")
    later.start()
    try:
        yield
    finally:
        cancelled.set()
        later.join()


def _reconcile(ledger: Ledger, spool: SpoolOptions, grace_seconds: float) -> ReconcileReport:
    started = time.perf_counter()
    report = reconcile(ledger, spool.root, grace_seconds=grace_seconds, now=time.time())
    seconds = round(time.perf_counter() - started, 3)
    log.info("reconciled", stage="adopted", count=report.adopted, seconds=seconds)
    findings = {
        "missing": len(report.missing),
        "leftovers_removed": report.leftovers_removed,
        "temporaries_removed": report.temporaries_removed,
        "unknown": len(report.unknown),
    }
    for stage, count in findings.items():
        if count:
            log.warning("reconcile_found", stage=stage, count=count)
    return report
