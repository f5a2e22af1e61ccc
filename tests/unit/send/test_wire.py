"""The upper layer's bytes, read back by pynetdicom and pydicom as independent judges."""

import struct
from io import BytesIO

import pytest
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF

from dicomqc.core.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_valid_uid
from dicomqc.send import wire

XA, JPEG = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.1.2.4.70"


def test_association_request_says_what_pynetdicom_reads() -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(wire.associate_request("DICOMQC", "PACS", [(XA, JPEG), (wire.VERIFICATION, wire.IMPLICIT_LITTLE)]))
    assert (pdu.calling_ae_title, pdu.called_ae_title) == ("DICOMQC", "PACS")
    assert pdu.application_context_name == "1.2.840.10008.3.1.1.1"
    proposed = [(c.context_id, c.abstract_syntax, c.transfer_syntax) for c in pdu.presentation_context]
    assert proposed == [(1, XA, [JPEG]), (3, wire.VERIFICATION, [wire.IMPLICIT_LITTLE])]
    assert pdu.user_information is not None
    assert pdu.user_information.maximum_length == wire.OUR_MAX_PDU
    assert pdu.user_information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert pdu.user_information.implementation_version_name == IMPLEMENTATION_VERSION_NAME


def test_our_implementation_names_are_allowed_ones() -> None:
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_store_command_says_what_pydicom_reads(uid: str) -> None:
    command = wire.store_command(7, sop_class_uid=XA, sop_instance_uid=uid)
    ds = decode(BytesIO(command), True, True)
    assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == (XA, uid)
    assert (ds.CommandField, ds.MessageID, ds.Priority, ds.CommandDataSetType) == (0x0001, 7, 0, 0x0001)
    assert ds.CommandGroupLength == len(command) - 12
    assert [e.tag for e in ds] == sorted(e.tag for e in ds)


def test_echo_command_says_what_pydicom_reads() -> None:
    ds = decode(BytesIO(wire.echo_command(9)), True, True)
    assert (ds.AffectedSOPClassUID, ds.CommandField, ds.MessageID) == (wire.VERIFICATION, 0x0030, 9)
    assert ds.CommandDataSetType == 0x0101


@pytest.mark.parametrize(
    ("command", "last", "control"), [(True, True, 3), (True, False, 1), (False, True, 2), (False, False, 0)]
)
def test_pdv_header_makes_a_p_data_that_pynetdicom_reads(command: bool, last: bool, control: int) -> None:
    pdu = P_DATA_TF()
    pdu.decode(wire.pdv_header(5, 4, command=command, last=last) + b"data")
    ((cx, value),) = [(i.context_id, i.presentation_data_value) for i in pdu.presentation_data_value_items]
    assert (cx, value) == (5, bytes([control]) + b"data")


@pytest.mark.parametrize(("max_pdu", "fragment"), [(0, 1 << 20), (16384, 16378), (16383, 16376), (16, 10), (1 << 30, 1 << 20)])
def test_fragments_fit_the_peers_pdu_and_are_even(max_pdu: int, fragment: int) -> None:
    assert wire.fragment_bytes(max_pdu) == fragment


def response(**changes: int) -> bytes:
    values = {"field": 0x8001, "to": 7, "status": 0xA700, **changes}
    elements = ((0x0100, values["field"]), (0x0120, values["to"]), (0x0800, 0x0101), (0x0900, values["status"]))
    return b"".join(struct.pack("<HHLH", 0, e, 2, v) for e, v in elements)


def test_response_gives_the_status_and_the_message_it_answers() -> None:
    assert wire.parse_response(response()) == wire.Response(responded_to=7, status=0xA700)


@pytest.mark.parametrize("command", [response(field=0x0001), response()[:-10], response()[:-1], b"\x08" + response()[1:]])
def test_what_is_no_response_is_refused(command: bytes) -> None:
    with pytest.raises(wire.MalformedPDU):
        wire.parse_response(command)


def test_fragments_of_a_command_are_read_from_several_pdvs() -> None:
    body = struct.pack(">LBB", 4, 1, 0x01) + b"ab" + struct.pack(">LBB", 3, 1, 0x03) + b"c"
    assert list(wire.command_fragments(body)) == [(b"ab", False), (b"c", True)]


@pytest.mark.parametrize("length", [0, 1, 9, 0xFFFFFFFF])
def test_a_pdv_longer_than_its_pdu_is_refused(length: int) -> None:
    with pytest.raises(wire.MalformedPDU):
        list(wire.command_fragments(struct.pack(">LBB", length, 1, 3) + b"abcd"))


def test_rejection_is_read_as_permanent_or_not() -> None:
    assert wire.parse_reject(b"\0\1\1\7") == (True, 1, 7)
    assert wire.parse_reject(b"\0\2\3\2") == (False, 3, 2)
    with pytest.raises(wire.MalformedPDU):
        wire.parse_reject(b"\0\1\1")
