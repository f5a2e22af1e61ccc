"""Whatever a peer answers, reading it ends in a value or in MalformedPDU.

Mutants killed: any dropped length check of `_items`, `parse_response`, `command_fragments` or `parse_accept` (struct.error,
IndexError or a wrong value instead), `result == 0` widened, the user item's maximum length taken from another sub-item.
"""

import struct

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext

from dicomqc.send import wire

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70")
results = st.lists(st.tuples(st.sampled_from(SYNTAXES), st.integers(0, 4)), min_size=1, max_size=128)


def acceptance(contexts: list[tuple[str, int]], max_pdu: int) -> bytes:
    """The body of an A-ASSOCIATE-AC as pynetdicom writes it."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title, primitive.result = "DICOMQC", "PACS", 0
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = max_pdu
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    answers = []
    for index, (syntax, result) in enumerate(contexts):
        cx = PresentationContext()
        cx.context_id, cx.result = 2 * index + 1, result
        cx.transfer_syntax = [syntax]
        answers.append(cx)
    primitive.presentation_context_definition_results_list = answers
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded[wire.PDU_HEADER_BYTES :]


@given(results, st.integers(16, 1 << 31))
def test_acceptance_is_read_as_pynetdicom_wrote_it(contexts: list[tuple[str, int]], max_pdu: int) -> None:
    answer = wire.parse_accept(acceptance(contexts, max_pdu))
    assert answer.transfer_syntaxes == {2 * i + 1: s for i, (s, result) in enumerate(contexts) if result == 0}
    assert answer.max_pdu == max_pdu


@given(results, st.integers(0, 400), st.binary(max_size=8))
def test_damaged_acceptance_is_read_or_refused(contexts: list[tuple[str, int]], at: int, noise: bytes) -> None:
    body = acceptance(contexts[:4], 16384)
    damaged = body[:at] + noise + body[at + len(noise) :]
    try:
        answer = wire.parse_accept(damaged[: at + 60])
    except wire.MalformedPDU:
        return
    assert wire.fragment_bytes(answer.max_pdu) > 0


@given(st.binary(max_size=64))
def test_noise_is_never_taken_for_a_response(noise: bytes) -> None:
    try:
        response = wire.parse_response(noise)
    except wire.MalformedPDU:
        return
    assert struct.pack("<H", response.status) in noise


@given(st.binary(max_size=64))
def test_noise_in_a_p_data_is_read_or_refused(noise: bytes) -> None:
    try:
        fragments = list(wire.command_fragments(noise))
    except wire.MalformedPDU:
        return
    assert sum(len(f) + 6 for f, _ in fragments) == len(noise)
