"""Real downstream peers on 127.0.0.1: pynetdicom SCPs that behave as told, DCMTK's storescp, a port that never answers."""

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification

from tests.support.facts import EXPLICIT_LE, XA
from tests.support.shared import require
from tests.support.waiting import until

STORESCP = Path("/usr/bin/storescp")


class Downstream:
    """A pynetdicom SCP that keeps the raw data sets it got and answers what `answer` says."""

    def __init__(self, *, contexts: dict[str, list[str]] | None = None, ae_title: str = "PACS", port: int = 0) -> None:
        self.objects: dict[str, bytes] = {}
        self.messages = 0
        self.associations = 0
        self.answer: Callable[[Event], int] = lambda _event: 0x0000
        self._ae = AE(ae_title)
        self._ae.require_called_aet = True
        self._ae.maximum_associations = 20
        self._ae.add_supported_context(Verification)
        for sop_class, syntaxes in (contexts or {XA: [EXPLICIT_LE]}).items():
            self._ae.add_supported_context(sop_class, syntaxes)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server = self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        self.port: int = self._server.socket.getsockname()[1]

    def _requested(self, _event: Event) -> None:
        self.associations += 1

    def _store(self, event: Event) -> int:
        self.messages += 1
        status = self.answer(event)
        if status >> 12 in {0x0, 0xB} and event.request.DataSet is not None:
            self.objects[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return status

    def limit(self, associations: int) -> None:
        """Reject (transient) associations beyond so many."""
        self._ae._maximum_associations = associations

    def close(self) -> None:
        self._server.shutdown()


@contextmanager
def downstream(**settings: object) -> Iterator[Downstream]:
    """A pynetdicom peer for the time of a test."""
    peer = Downstream(**settings)  # type: ignore[arg-type]
    try:
        yield peer
    finally:
        peer.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def stalling_peer() -> Iterator[int]:
    """A peer that accepts the first proposed context with its syntax and then never reads again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []
        thread = threading.Thread(target=_accept_and_stall, args=(server, held), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for sock in held:
            sock.close()


def _accept_and_stall(server: socket.socket, held: list[socket.socket]) -> None:
    while True:
        try:
            sock = server.accept()[0]
        except OSError:
            return
        held.append(sock)
        sock.recv(65536)
        syntax = EXPLICIT_LE.encode()
        context = struct.pack(">BBBB", 1, 0, 0, 0) + struct.pack(">BBH", 0x40, 0, len(syntax)) + syntax
        user = struct.pack(">BBHL", 0x51, 0, 4, 16384)
        items = struct.pack(">BBH", 0x21, 0, len(context)) + context + struct.pack(">BBH", 0x50, 0, len(user)) + user
        sock.sendall(struct.pack(">BBLHH", 2, 0, 68 + len(items), 1, 0) + bytes(64) + items)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def dcmtk_storescp(folder: Path) -> Iterator[int]:
    """DCMTK's storescp, which writes data sets bit for bit (+B) and takes every transfer syntax (+xa)."""
    port = free_port()
    command = [require(STORESCP), "+B", "+xa", "-aet", "PACS", "-od", folder, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port))
            yield port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
