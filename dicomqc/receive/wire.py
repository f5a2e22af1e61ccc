"""What an accepted connection needs that the stock acceptor lacks: no Nagle, a time-out inside a PDU, a cap on a PDU's length.

Only public attributes of pynetdicom's `AssociationSocket` are touched: `socket`, `recv` and `close`.
"""

import socket
from typing import Any

ADVERTISED_PDU_BYTES = 1 << 20
MAX_PDU_BYTES = ADVERTISED_PDU_BYTES + (128 << 10)


class PduTooLong(OSError):
    """The peer announced a PDU far beyond what it was told (PS3.8 Annex D.1); its connection is closed."""


def tame(association_socket: Any, *, timeout_seconds: float) -> None:
    """Set TCP_NODELAY, let a peer that stalls inside a PDU (or does not read) time out, and bound what one PDU may hold."""
    sock: socket.socket = association_socket.socket
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.settimeout(timeout_seconds)

    def recv(nr_bytes: int) -> bytearray:
        return receive_exactly(association_socket.socket, nr_bytes)

    association_socket.recv = recv


def receive_exactly(sock: socket.socket, count: int) -> bytearray:
    """`count` bytes, or fewer where the peer closed first. Raises TimeoutError, PduTooLong (before anything is allocated)."""
    if count > MAX_PDU_BYTES:
        raise PduTooLong("the announced PDU is too long")
    buffer = bytearray(count)
    view = memoryview(buffer)
    got = 0
    while got < count:
        read = sock.recv_into(view[got:])
        if read == 0:
            break
        got += read
    view.release()
    del buffer[got:]
    return buffer


def drop(association_socket: Any) -> None:
    """Shut the connection down under a thread that waits for it."""
    sock = getattr(association_socket, "socket", None)
    if sock is None:
        return
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
