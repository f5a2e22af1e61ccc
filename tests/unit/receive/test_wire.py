import socket
from collections.abc import Iterator

import pytest

from dicomqc.receive import wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Holder:
    """What of pynetdicom's AssociationSocket is touched."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.recv = sock.recv


def test_bytes_in_pieces_are_put_together(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(b"abc")
    pair[1].sendall(b"defg")
    assert wire.receive_exactly(pair[0], 6) == b"abcdef"


def test_a_peer_that_closes_gives_what_came(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(b"abc")
    pair[1].close()
    assert wire.receive_exactly(pair[0], 6) == b"abc"


def test_a_pdu_of_four_gigabytes_is_refused_before_anything_is_allocated(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(wire.PduTooLong):
        wire.receive_exactly(pair[0], 0xFFFFFFFF)


def test_a_stall_inside_a_pdu_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        accepted, _ = server.accept()
        with accepted:
            holder = Holder(accepted)
            wire.tame(holder, timeout_seconds=0.05)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            peer.sendall(b"abc")
            with pytest.raises(TimeoutError):
                holder.recv(6)


def test_dropping_a_connection_wakes_its_reader_and_may_be_repeated(pair: tuple[socket.socket, socket.socket]) -> None:
    holder = Holder(pair[0])
    wire.drop(holder)
    assert pair[1].recv(1) == b""
    wire.drop(holder)
    pair[0].close()
    wire.drop(holder)
    wire.drop(None)
