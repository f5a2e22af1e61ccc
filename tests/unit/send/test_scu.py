"""How a series is cut into associations and an object into fragments."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomqc.core.delivery import ClaimedDelivery, SendFailure
from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.send.association import AssociationFailed
from dicomqc.send.scu import batches, fragments
from dicomqc.spool.read import DatasetLocation

SYNTAX = "1.2.840.10008.1.2.1"


def delivery(number: int, sop_class: str) -> ClaimedDelivery:
    instance = StoredInstance(
        id=number,
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid=sop_class,
        study_instance_uid="1.2",
        series_instance_uid="1.3",
        transfer_syntax_uid=SYNTAX,
        digest="0" * 64,
        path="",
        size_bytes=1,
        calling_ae="CATHLAB",
        revision=1,
        revision_note=None,
        state=InstanceState.JUDGED,
        reason=None,
        attempts=0,
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return ClaimedDelivery(
        id=number, token=str(number), attempts=1, seconds_since_asked=0.0, destination="pacs", instance=instance
    )


@pytest.mark.parametrize(("classes", "sizes"), [(0, []), (1, [300]), (128, [300]), (129, [128, 172])])
def test_an_association_proposes_at_most_128_contexts_and_keeps_the_order(classes: int, sizes: list[int]) -> None:
    claimed = [delivery(n, f"1.5.{n if n < classes else 0}") for n in range(300 if classes else 0)]
    cut = list(batches(claimed))
    assert [d for batch in cut for d in batch] == claimed
    assert [len(batch) for batch in cut] == sizes


@pytest.mark.parametrize(("length", "expected"), [(0, [0]), (1, [1]), (10, [10]), (11, [10, 1]), (30, [10, 10, 10])])
def test_fragments_cover_the_data_set_and_only_the_last_says_so(tmp_path: Path, length: int, expected: list[int]) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"meta" + bytes(range(length)))
    place = DatasetLocation(transfer_syntax_uid=SYNTAX, offset=4, length=length)
    with path.open("rb", buffering=0) as file:
        got = [(bytes(view), last) for view, last in fragments(file, place, 10)]
    assert b"".join(data for data, _ in got) == bytes(range(length))
    assert [len(data) for data, _ in got] == expected
    assert [last for _, last in got] == [False] * (len(expected) - 1) + [True]


def test_a_file_that_ends_early_never_sends_a_last_fragment(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(bytes(15))
    place = DatasetLocation(transfer_syntax_uid=SYNTAX, offset=0, length=20)
    seen = []
    with path.open("rb", buffering=0) as file, pytest.raises(AssociationFailed) as failed:
        seen.extend(last for _, last in fragments(file, place, 10))
    assert (failed.value.failure, any(seen)) == (SendFailure.UNEXPECTED, False)
