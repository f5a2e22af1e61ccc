"""The bytes of the DICOM upper layer (PS3.8 section 9.3), C-STORE and C-ECHO commands (PS3.7 section 9.3): pure functions.

Written here and not taken from pynetdicom: its requestor queues a whole object in memory, sends without a time-out and cannot
be interrupted, so that one peer that stops reading would hold a sender for ever.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dicomqc.core.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
PDU_HEADER_BYTES = 6
MAX_CONTEXTS = 128
LARGEST_FRAGMENT = 1 << 20
OUR_MAX_PDU = 16384
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_PDV_HEADER_BYTES = 6
_APPLICATION_CONTEXT_ITEM, _CONTEXT_ITEM, _CONTEXT_RESULT_ITEM = 0x10, 0x20, 0x21
_ABSTRACT_ITEM, _TRANSFER_ITEM, _USER_ITEM = 0x30, 0x40, 0x50
_MAX_PDU_ITEM, _CLASS_UID_ITEM, _VERSION_ITEM = 0x51, 0x52, 0x55
_RESULT_HEADER, _REJECT_BODY, _PDV_OVERHEAD = 4, 4, 2
_SMALLEST_PDU = 16
_STORE_RQ, _ECHO_RQ, _RESPONSE = 0x0001, 0x0030, 0x8000
_DATA_SET_FOLLOWS, _NO_DATA_SET = 0x0001, 0x0101
_COMMAND_FIELD, _RESPONDED_TO, _STATUS = 0x0100, 0x0120, 0x0900
_COMMAND, _LAST = 0x01, 0x02


class MalformedPDU(ValueError):
    """The peer sent bytes that are not the protocol; the message never quotes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An A-ASSOCIATE-AC: context id → accepted transfer syntax, and the longest P-DATA the peer takes (0: any)."""

    transfer_syntaxes: Mapping[int, str]
    max_pdu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A C-STORE or C-ECHO response: the message it answers and its status."""

    responded_to: int
    status: int


def associate_request(calling_ae: str, called_ae: str, contexts: Sequence[tuple[str, str]]) -> bytes:
    """An A-ASSOCIATE-RQ that proposes one context per (abstract syntax, transfer syntax), with ids 1, 3, 5, … (table 9-11)."""
    items = _item(_APPLICATION_CONTEXT_ITEM, _APPLICATION_CONTEXT)
    for index, (abstract, transfer) in enumerate(contexts):
        syntaxes = _item(_ABSTRACT_ITEM, abstract.encode("ascii")) + _item(_TRANSFER_ITEM, transfer.encode("ascii"))
        items += _item(_CONTEXT_ITEM, struct.pack(">BBBB", context_id(index), 0, 0, 0) + syntaxes)
    user = _item(_MAX_PDU_ITEM, struct.pack(">L", OUR_MAX_PDU)) + _item(
        _CLASS_UID_ITEM, IMPLEMENTATION_CLASS_UID.encode("ascii")
    )
    items += _item(_USER_ITEM, user + _item(_VERSION_ITEM, IMPLEMENTATION_VERSION_NAME.encode("ascii")))
    titles = called_ae.encode("ascii").ljust(16) + calling_ae.encode("ascii").ljust(16)
    return pdu(0x01, struct.pack(">HH", 1, 0) + titles + bytes(32) + items)


def context_id(index: int) -> int:
    """The id of the `index`-th proposed context: odd, 1 to 255 (PS3.8 section 9.3.2.2)."""
    return 2 * index + 1


def parse_accept(body: bytes) -> Accepted:
    """Read an A-ASSOCIATE-AC without its header (table 9-17). Raises MalformedPDU."""
    syntaxes: dict[int, str] = {}
    max_pdu = 0
    for kind, value in _items(body[68:]):
        if kind == _CONTEXT_RESULT_ITEM and len(value) >= _RESULT_HEADER and value[2] == 0:
            names = [v for k, v in _items(value[4:]) if k == _TRANSFER_ITEM]
            syntaxes[value[0]] = _uid(names[0]) if names else ""
        elif kind == _USER_ITEM:
            max_pdu = next((_u32(v) for k, v in _items(value) if k == _MAX_PDU_ITEM), 0)
    if 0 < max_pdu < _SMALLEST_PDU:
        raise MalformedPDU("the peer takes no useful P-DATA length")
    return Accepted(transfer_syntaxes=syntaxes, max_pdu=max_pdu)


def parse_reject(body: bytes) -> tuple[bool, int, int]:
    """Read an A-ASSOCIATE-RJ: (whether it is permanent, source, reason) (table 9-21). Raises MalformedPDU."""
    if len(body) < _REJECT_BODY:
        raise MalformedPDU("a short A-ASSOCIATE-RJ")
    return body[1] == 1, body[2], body[3]


def store_command(message_id: int, *, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """A C-STORE-RQ command set of medium priority, Implicit VR Little Endian (PS3.7 table 9.3-1)."""
    return _command(
        (0x0002, _padded(sop_class_uid)),
        (_COMMAND_FIELD, _u16(_STORE_RQ)),
        (0x0110, _u16(message_id)),
        (0x0700, _u16(0)),
        (0x0800, _u16(_DATA_SET_FOLLOWS)),
        (0x1000, _padded(sop_instance_uid)),
    )


def echo_command(message_id: int) -> bytes:
    """A C-ECHO-RQ command set (PS3.7 table 9.3-12)."""
    return _command(
        (0x0002, _padded(VERIFICATION)),
        (_COMMAND_FIELD, _u16(_ECHO_RQ)),
        (0x0110, _u16(message_id)),
        (0x0800, _u16(_NO_DATA_SET)),
    )


def parse_response(command: bytes) -> Response:
    """Read a response's command set. Raises MalformedPDU where it is no response or lacks its status."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        if at + 8 > len(command):
            raise MalformedPDU("a truncated command set")
        group, element, length = struct.unpack_from("<HHL", command, at)
        if group != 0 or at + 8 + length > len(command):
            raise MalformedPDU("a damaged command set")
        elements[element] = command[at + 8 : at + 8 + length]
        at += 8 + length
    numbers = {e: int.from_bytes(elements.get(e, b""), "little") for e in (_COMMAND_FIELD, _RESPONDED_TO)}
    if not numbers[_COMMAND_FIELD] & _RESPONSE or len(elements.get(_STATUS, b"")) != struct.calcsize("<H"):
        raise MalformedPDU("not a response")
    return Response(responded_to=numbers[_RESPONDED_TO], status=int.from_bytes(elements[_STATUS], "little"))


def fragment_bytes(max_pdu: int) -> int:
    """How many bytes of a message fit in one P-DATA for a peer that takes `max_pdu`: even (PS3.8 annex D.1), at most 1 MiB."""
    room = LARGEST_FRAGMENT if max_pdu == 0 else min(max_pdu - _PDV_HEADER_BYTES, LARGEST_FRAGMENT)
    return room & ~1


def pdv_header(cx: int, length: int, *, command: bool, last: bool) -> bytes:
    """The twelve bytes before `length` bytes of one message fragment sent as a P-DATA of its own (table 9-22, annex E.2)."""
    control = (_COMMAND if command else 0) | (_LAST if last else 0)
    return struct.pack(">BBLLBB", P_DATA, 0, length + _PDV_HEADER_BYTES, length + _PDV_OVERHEAD, cx, control)


def command_fragments(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """The command fragments of a P-DATA, each with whether it is the last. Raises MalformedPDU, also for a data set."""
    at = 0
    while at < len(body):
        if at + _PDV_HEADER_BYTES > len(body):
            raise MalformedPDU("a truncated PDV")
        length, _, control = struct.unpack_from(">LBB", body, at)
        end = at + 4 + length
        if length < _PDV_OVERHEAD or end > len(body) or not control & _COMMAND:
            raise MalformedPDU("a damaged PDV")
        yield body[at + _PDV_HEADER_BYTES : end], bool(control & _LAST)
        at = end


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU: its type, a reserved byte, the length, the body."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise MalformedPDU("a truncated item")
        kind, length = struct.unpack_from(">BxH", data, at)
        if at + 4 + length > len(data):
            raise MalformedPDU("an item longer than its PDU")
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _command(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def _u16(value: int) -> bytes:
    return struct.pack("<H", value)


def _u32(value: bytes) -> int:
    if len(value) != struct.calcsize(">L"):
        raise MalformedPDU("a damaged maximum length")
    return int.from_bytes(value, "big")
