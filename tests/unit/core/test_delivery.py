"""What a peer's status means: every one of the 65,536."""

import pytest

from dicomqc.core.delivery import HOPELESS_FAILURES, PERMANENT_FAILURES, Fate, SendFailure, fate_of_status

DELIVERED = {0x0000, 0x0111, *range(0xB000, 0xC000)}
PERMANENT = {0x0122, 0x0124, *range(0xA800, 0xAA00), *range(0xC000, 0xD000)}


def test_every_status_has_the_fate_of_the_architectures_table() -> None:
    fates = {s: fate_of_status(s) for s in range(0x10000)}
    assert {s for s, f in fates.items() if f is Fate.DELIVERED} == DELIVERED
    assert {s for s, f in fates.items() if f is Fate.PERMANENT} == PERMANENT


@pytest.mark.parametrize("status", [0x0110, 0xA700, 0xA7FF, 0x0210, 0xFE00, 0x0001, 0xFF00, 0xD000, 0xAA00])
def test_out_of_resources_processing_failure_and_the_unknown_are_tried_again(status: int) -> None:
    assert fate_of_status(status) is Fate.RETRY


def test_permanent_hopeless_and_transient_failures_do_not_overlap() -> None:
    assert not PERMANENT_FAILURES & HOPELESS_FAILURES
    transient = set(SendFailure) - PERMANENT_FAILURES - HOPELESS_FAILURES
    assert transient == {
        SendFailure.PEER_STATUS,
        SendFailure.UNREACHABLE,
        SendFailure.REJECTED_TRANSIENT,
        SendFailure.ABORTED,
        SendFailure.TIMED_OUT,
        SendFailure.SENDER_CRASHED,
        SendFailure.UNEXPECTED,
    }
