"""What is sent is what was received, byte for byte and in the same syntax (I4), to DCMTK and to pynetdicom."""

from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1
from pynetdicom import AllStoragePresentationContexts

from dicomqc.ledger.engine import open_ledger
from dicomqc.spool import read
from tests.support.facts import EXPLICIT_LE, XA
from tests.support.outbound import Outbox, forwarding, options, small_object, to
from tests.support.peers import dcmtk_storescp, downstream
from tests.support.shared import LEFT_CORONARY, OTHER, require
from tests.support.waiting import until

REAL = (
    LEFT_CORONARY,
    OTHER / "xa1_jpll.dcm",
    OTHER / "xa1_unc.dcm",
    OTHER / "mr_small_bigendian.dcm",
    OTHER / "us_2f_rle.dcm",
    OTHER / "us_cine_8f_fragmented_no_bot.dcm",
    OTHER / "ct_2f_fragmented_no_bot_jpegls.dcm",
    OTHER / "enhanced_mr_10f.dcm",
    OTHER / "sr_no_pixels.dcm",
    OTHER / "sc_rgb_odd_pixels.dcm",
    OTHER / "xa1_jply_12bit.dcm",
    OTHER / "bad_sequence.dcm",
)
# These share a SOP Instance UID with the big-endian one, and peers name files by it.
SAME_UID = ((OTHER / "mr_small_implicit.dcm",), (OTHER / "mr_truncated.dcm",))


@pytest.fixture
def outbox(tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger:
        yield Outbox(ledger, tmp_path / "spool")


def data_set(path: Path) -> tuple[str, bytes]:
    place = read.locate(path)
    return place.transfer_syntax_uid, path.read_bytes()[place.offset :]


@pytest.mark.dcmtk
@pytest.mark.parametrize("paths", [REAL, *SAME_UID], ids=["real", "implicit", "truncated"])
def test_i4_real_objects_reach_dcmtk_byte_for_byte(outbox: Outbox, tmp_path: Path, paths: tuple[Path, ...]) -> None:
    for path in paths:
        outbox.add(require(path).read_bytes(), series="1.2.3.6")
    outbox.judge()
    folder = tmp_path / "downstream"
    folder.mkdir()
    with dcmtk_storescp(folder) as port, forwarding(outbox, options(to(port))):
        until(lambda: "pending" not in (states := outbox.states()) and "sending" not in states and len(states) > 0)
    assert set(outbox.states()) == {"delivered"}
    arrived = sorted(data_set(path) for path in folder.iterdir())
    assert arrived == sorted(data_set(path) for path in paths)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, str(JPEGLosslessSV1), str(DeflatedExplicitVRLittleEndian)])
def test_i4_any_length_and_syntax_arrives_as_stored(outbox: Outbox, syntax: str) -> None:
    sizes = (0, 1, 16256, 16258, 16260, 300_001)
    stored = [outbox.add(small_object(size=size, transfer_syntax=syntax)[0]) for size in sizes]
    outbox.judge()
    with downstream(contexts={XA: [syntax]}) as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"] * len(sizes))
        assert peer.objects == {i.sop_instance_uid: data_set(outbox.root / i.path)[1] for i in stored}


def test_i4_odd_deflated_data_set_is_neither_inflated_nor_padded(outbox: Outbox) -> None:
    path = require(OTHER / "deflated.dcm")
    instance = outbox.add(path.read_bytes())
    outbox.judge()
    contexts = {instance.sop_class_uid: [instance.transfer_syntax_uid]}
    with downstream(contexts=contexts) as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"])
        assert peer.objects[instance.sop_instance_uid] == data_set(path)[1]
        assert instance.size_bytes % 2 == 1


def test_i4_damaged_bytes_are_never_sent_and_are_set_aside(outbox: Outbox) -> None:
    bad, good = (outbox.add(small_object()[0]) for _ in range(2))
    outbox.judge()
    path = outbox.root / bad.path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["undeliverable", "delivered"])
        assert list(peer.objects) == [good.sop_instance_uid]
    assert outbox.deliveries()[0].reason == "digest_mismatch"
    assert outbox.instance_state(bad.id) == ("quarantined", "digest_mismatch")


def test_i2_missing_file_is_undeliverable_with_its_own_reason(outbox: Outbox) -> None:
    gone, _kept = (outbox.add(small_object()[0]) for _ in range(2))
    outbox.judge()
    (outbox.root / gone.path).unlink()
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["undeliverable", "delivered"])
    assert outbox.deliveries()[0].reason == "file_missing"
    assert outbox.instance_state(gone.id) == ("quarantined", "file_missing")


def test_more_contexts_than_one_association_can_propose_take_two(outbox: Outbox) -> None:
    classes = [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts[:130]]
    for sop_class in classes:
        outbox.add(small_object(sop_class=sop_class)[0])
    outbox.judge()
    with downstream(contexts={c: [EXPLICIT_LE] for c in classes}) as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"] * 130)
        assert (len(peer.objects), peer.associations) == (130, 2)
