import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicomqc.core.errors import IntegrityError, LeaseLost, OutOfResources, PermanentError, Refused, Unavailable
from dicomqc.receive.status import Reason, Status, reason_of, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OutOfResources("x", reason=Reason.NO_SPACE), 0xA700),
        (Unavailable("x"), 0xA700),
        (OSError(28, "No space left on device"), 0xA700),
        (IntegrityError("x", reason="file_missing"), 0xA700),
        (Refused("x", reason=Reason.UID_MISMATCH), 0xA900),
        (Refused("x", reason=Reason.SOP_CLASS_MISMATCH), 0xA900),
        (Refused("x", reason=Reason.UNPARSEABLE), 0xC000),
        (Refused("x", reason=Reason.MISSING_IDENTIFIER), 0xC001),
        (Refused("x", reason=Reason.INVALID_UID), 0xC002),
        (Refused("x", reason=Reason.INCOMPLETE), 0xC003),
        (Refused("x", reason=Reason.INVALID_SOP_INSTANCE_UID), 0x0117),
        (Refused("x", reason="never heard of"), 0x0110),
        (PermanentError("x", reason="y"), 0x0110),
        (LeaseLost("x"), 0x0110),
        (ZeroDivisionError(), 0x0110),
        (RecursionError(), 0x0110),
    ],
)
def test_every_error_has_one_named_status(error: Exception, status: int) -> None:
    assert status_of(error) is Status(status)


def test_an_error_outside_the_closed_list_is_called_unexpected() -> None:
    assert reason_of(Refused("x", reason="made up")) is Reason.UNEXPECTED
    assert reason_of(KeyError("x")) is Reason.UNEXPECTED


def test_the_library_knows_every_status_that_we_send() -> None:
    assert all(int(status) in STORAGE_SERVICE_CLASS_STATUS for status in Status)
