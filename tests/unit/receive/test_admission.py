from dataclasses import replace

import pytest

from dicomqc.core.options import ReceiveOptions, StorageClasses
from dicomqc.receive import admission
from dicomqc.receive.admission import Caller, Rejection
from dicomqc.spool.capacity import Level

OPTIONS = ReceiveOptions(
    ae_title="DICOMQC",
    host="127.0.0.1",
    port=0,
    allowed_callers=(),
    called_ae_required=False,
    max_associations=2,
    network_timeout_seconds=20.0,
    storage_classes=StorageClasses.ANGIOGRAPHY,
)
CALLER = Caller(calling_ae="CATHLAB", called_ae="DICOMQC", peer="10.0.0.7")


def decide(options: ReceiveOptions, caller: Caller = CALLER, *, busy: int = 0, level: Level = Level.OK) -> Rejection | None:
    return admission.admit(caller, options, open_associations=busy, level=level)


@pytest.mark.parametrize(
    ("allowed", "peer", "admitted"),
    [
        ((), "127.0.0.1", True),
        ((), "127.8.9.1", True),
        ((), "::1", True),
        ((), "::ffff:127.0.0.1", True),
        ((), "10.0.0.7", False),
        ((), "::ffff:10.0.0.7", False),
        ((), "localhost.evil.example", False),
        (("CATHLAB",), "10.0.0.7", True),
        ((" CATHLAB ",), "10.0.0.7", True),
        (("OTHER",), "10.0.0.7", False),
        (("OTHER",), "127.0.0.1", False),
        (("cathlab",), "10.0.0.7", False),
        (("*",), "10.0.0.7", True),
    ],
)
def test_the_allow_list_decides_and_an_empty_one_admits_this_machine_only(
    allowed: tuple[str, ...], peer: str, admitted: bool
) -> None:
    rejection = decide(replace(OPTIONS, allowed_callers=allowed), replace(CALLER, peer=peer))
    assert rejection is (None if admitted else admission.CALLING_AE_NOT_ALLOWED)


def test_the_called_ae_matters_only_where_it_is_required() -> None:
    options = replace(OPTIONS, allowed_callers=("*",))
    stranger = replace(CALLER, called_ae="ELSEWHERE")
    assert decide(options, stranger) is None
    assert decide(replace(options, called_ae_required=True), stranger) is admission.CALLED_AE_UNKNOWN
    assert decide(replace(options, called_ae_required=True)) is None


def test_i13_below_half_the_minimum_associations_are_rejected_and_below_the_minimum_not() -> None:
    options = replace(OPTIONS, allowed_callers=("*",))
    assert decide(options, level=Level.LOW) is None
    assert decide(options, level=Level.CRITICAL) is admission.NO_SPACE
    assert decide(options, level=Level.EXHAUSTED) is admission.NO_SPACE


def test_the_limit_counts_associations_that_are_open() -> None:
    options = replace(OPTIONS, allowed_callers=("*",))
    assert decide(options, busy=1) is None
    assert decide(options, busy=2) is admission.TOO_MANY_ASSOCIATIONS


def test_a_stranger_learns_nothing_of_the_load() -> None:
    assert decide(OPTIONS, busy=9, level=Level.EXHAUSTED) is admission.CALLING_AE_NOT_ALLOWED


def test_the_rejections_are_those_of_ps3_8_table_9_21() -> None:
    values = {(r.result, r.source, r.diagnostic) for r in (admission.CALLING_AE_NOT_ALLOWED, admission.CALLED_AE_UNKNOWN)}
    assert values == {(1, 1, 3), (1, 1, 7)}
    values = {(r.result, r.source, r.diagnostic) for r in (admission.NO_SPACE, admission.TOO_MANY_ASSOCIATIONS)}
    assert values == {(2, 3, 1), (2, 3, 2)}
