"""One requested association on one socket, in the caller's thread: negotiate, store, echo, release.

Every wait ends: by progress, after `timeout_seconds` without any, or within a quarter of a second after `cancelled()` says so.
"""

import errno
import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from dicomqc.core.delivery import SendFailure
from dicomqc.core.errors import TransientError
from dicomqc.send import wire

_SLICE_SECONDS = 0.25
_RELEASE_SECONDS = 2.0
_LARGEST_PDU = 1 << 20
_REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "the peer does not know the application context",
    (1, 3): "the peer does not know our AE title",
    (1, 7): "the peer does not answer to this AE title",
    (2, 2): "the peer does not support our protocol version",
    (3, 1): "the peer is congested",
    (3, 2): "the peer has as many associations as it allows",
}


class AssociationFailed(TransientError):
    """The association cannot be had or has ended; `failure` says how. The message is fit for people and for logs."""

    def __init__(self, failure: SendFailure, words: str) -> None:
        super().__init__(words)
        self.failure = failure


class Cancelled(TransientError):
    """`cancelled()` said so: a stop was asked, or the lease was lost. Nothing is known of the message in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where to call, whom, and as whom."""

    host: str
    port: int
    called_ae: str
    calling_ae: str


class Association:
    """An established association. Not for use from two threads. As a context it ends in release, or in abort after an error."""

    def __init__(self, sock: socket.socket, *, timeout_seconds: float, cancelled: Callable[[], bool]) -> None:
        self.accepted: Mapping[tuple[str, str], int] = {}
        self.fragment_bytes = wire.fragment_bytes(wire.OUR_MAX_PDU)
        self._sock = sock
        self._timeout_seconds = timeout_seconds
        self._cancelled = cancelled
        self._messages = 0

    @classmethod
    def request(
        cls, peer: Peer, contexts: Sequence[tuple[str, str]], *, timeout_seconds: float, cancelled: Callable[[], bool]
    ) -> Self:
        """Connect and negotiate one context per (abstract syntax, transfer syntax), at most 128.

        `accepted` then maps the pairs that the peer took to their ids. Raises AssociationFailed, Cancelled.
        """
        assoc = cls(_connect(peer, timeout_seconds), timeout_seconds=timeout_seconds, cancelled=cancelled)
        try:
            assoc._negotiate(peer, contexts)
        except (AssociationFailed, Cancelled):
            assoc.abort()
            raise
        return assoc

    def store(self, pair: tuple[str, str], sop_instance_uid: str, fragments: Iterable[tuple[memoryview, bool]]) -> int:
        """Send one object on the context of `pair`; each fragment (at most `fragment_bytes`) comes with whether it is the last.

        Returns the peer's own status. Raises AssociationFailed, Cancelled, and whatever `fragments` raises: abort then.
        """
        cx = self.accepted[pair]
        message = self._next_message()
        self._send_command(cx, wire.store_command(message, sop_class_uid=pair[0], sop_instance_uid=sop_instance_uid))
        for fragment, last in fragments:
            self._send([memoryview(wire.pdv_header(cx, len(fragment), command=False, last=last)), fragment])
        return self._status_of(message)

    def echo(self) -> int:
        """C-ECHO; returns the status. Raises AssociationFailed, Cancelled."""
        message = self._next_message()
        self._send_command(self.accepted[wire.VERIFICATION, wire.IMPLICIT_LITTLE], wire.echo_command(message))
        return self._status_of(message)

    def release(self) -> None:
        """End in order (PS3.8 section 7.2); a peer that does not answer is left after two seconds."""
        self._timeout_seconds = min(self._timeout_seconds, _RELEASE_SECONDS)
        try:
            self._send([memoryview(wire.pdu(wire.RELEASE_RQ, bytes(4)))])
            while self._receive_pdu()[0] != wire.RELEASE_RP:
                pass
        except (AssociationFailed, Cancelled):
            pass  # every status is known by now: how the peer hangs up changes nothing
        finally:
            self._sock.close()

    def abort(self) -> None:
        """End at once; the peer is told if its socket takes eight more bytes."""
        try:
            self._sock.send(wire.pdu(wire.ABORT, bytes(4)))
        except OSError:
            pass  # it is gone already
        finally:
            self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    def _negotiate(self, peer: Peer, contexts: Sequence[tuple[str, str]]) -> None:
        self._send([memoryview(wire.associate_request(peer.calling_ae, peer.called_ae, contexts))])
        kind, body = self._receive_pdu()
        if kind == wire.ASSOCIATE_RJ:
            raise _rejected(body)
        if kind != wire.ASSOCIATE_AC:
            raise AssociationFailed(SendFailure.ABORTED, "the peer did not answer the association request in kind")
        try:
            answer = wire.parse_accept(body)
        except wire.MalformedPDU as error:
            raise AssociationFailed(SendFailure.ABORTED, f"the peer's acceptance is unreadable: {error}") from error
        ids = {wire.context_id(i): pair for i, pair in enumerate(contexts)}
        # A context accepted with a syntax that was not proposed in it is not accepted: raw bytes could not go there.
        self.accepted = {ids[i]: i for i, syntax in answer.transfer_syntaxes.items() if i in ids and ids[i][1] == syntax}
        self.fragment_bytes = wire.fragment_bytes(answer.max_pdu)

    def _next_message(self) -> int:
        self._messages = self._messages % 0xFFFF + 1
        return self._messages

    def _send_command(self, cx: int, command: bytes) -> None:
        for at in range(0, len(command), self.fragment_bytes):
            part = command[at : at + self.fragment_bytes]
            last = at + len(part) == len(command)
            self._send([memoryview(wire.pdv_header(cx, len(part), command=True, last=last) + part)])

    def _status_of(self, message: int) -> int:
        command = b""
        try:
            while True:
                kind, body = self._receive_pdu()
                if kind != wire.P_DATA:
                    raise wire.MalformedPDU("the peer ended the association instead of answering")
                for fragment, last in wire.command_fragments(body):
                    command += fragment
                    if last:
                        response = wire.parse_response(command)
                        if response.responded_to != message:
                            raise wire.MalformedPDU("the peer answered another message")
                        return response.status
        except wire.MalformedPDU as error:
            raise AssociationFailed(SendFailure.ABORTED, str(error)) from error

    def _receive_pdu(self) -> tuple[int, bytes]:
        header = self._receive(wire.PDU_HEADER_BYTES)
        kind, length = header[0], int.from_bytes(header[2:], "big")
        if length > _LARGEST_PDU:
            raise AssociationFailed(SendFailure.ABORTED, "the peer announced a PDU larger than 1 MiB")
        body = self._receive(length)
        if kind == wire.ABORT:
            raise AssociationFailed(SendFailure.ABORTED, "the peer aborted the association")
        return kind, body

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._wait(select.POLLIN)
            try:
                piece = self._sock.recv(length - len(data))
            except BlockingIOError:
                continue
            except OSError as error:
                raise _lost(error) from error
            if not piece:
                raise AssociationFailed(SendFailure.ABORTED, "the peer closed the connection")
            data += piece
        return bytes(data)

    def _send(self, views: list[memoryview]) -> None:
        while views:
            try:
                sent = self._sock.sendmsg(views)
            except BlockingIOError:
                self._wait(select.POLLOUT)
                continue
            except OSError as error:
                raise _lost(error) from error
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views:
                views[0] = views[0][sent:]
        if self._cancelled():
            raise Cancelled("the transfer was broken off")

    def _wait(self, events: int) -> None:
        poll = select.poll()
        poll.register(self._sock, events)
        deadline = time.monotonic() + self._timeout_seconds
        while not poll.poll(1000 * min(_SLICE_SECONDS, self._timeout_seconds)):
            if self._cancelled():
                raise Cancelled("the transfer was broken off")
            if time.monotonic() >= deadline:
                raise AssociationFailed(SendFailure.TIMED_OUT, f"no progress for {self._timeout_seconds:g} seconds")


def _connect(peer: Peer, timeout_seconds: float) -> socket.socket:
    try:
        sock = socket.create_connection((peer.host, peer.port), timeout=timeout_seconds)
    except (OSError, UnicodeError) as error:
        name = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        raise AssociationFailed(SendFailure.UNREACHABLE, f"no connection to the peer ({name})") from error
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the last fragment waits for a delayed ACK
    return sock


def _rejected(body: bytes) -> AssociationFailed:
    try:
        permanent, source, reason = wire.parse_reject(body)
    except wire.MalformedPDU as error:
        return AssociationFailed(SendFailure.ABORTED, str(error))
    words = _REJECTIONS.get((source, reason), f"source {source}, reason {reason}")
    if permanent:
        return AssociationFailed(SendFailure.REJECTED_PERMANENT, f"association rejected, permanent: {words}")
    return AssociationFailed(SendFailure.REJECTED_TRANSIENT, f"association rejected for now: {words}")


def _lost(error: OSError) -> AssociationFailed:
    return AssociationFailed(SendFailure.ABORTED, f"the connection broke ({type(error).__name__})")
