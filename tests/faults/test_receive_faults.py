"""kill -9 of the receiver at each crash point: what was acknowledged is there, what was not comes again (I1, I2, I3)."""

from pathlib import Path

import pytest

from dicomqc.ledger import instances
from dicomqc.spool import read
from tests.support.nodes import Node, dicomqc, send_files
from tests.support.shared import XA, require

POINTS = ("receive.after_write", "receive.after_fsync", "receive.after_link", "receive.after_commit")
FILES = [XA / f"ge_dl_phantom_im{n}.dcm" for n in (1, 2, 4, 5)]


@pytest.mark.parametrize("point", POINTS)
def test_i1_nothing_acknowledged_is_lost(tmp_path: Path, point: str) -> None:
    for file in FILES:
        require(file)
    node = Node(tmp_path)
    with node.stage("receive") as running:
        first = send_files(running.port or 0, FILES[:1])
    with node.stage("receive", crash_at=point) as running:
        second = send_files(running.port or 0, FILES[1:])
        assert running.process.wait(20) == -9
    acknowledged = {uid for uid, status in {**first, **second}.items() if status == 0x0000}
    assert len(acknowledged) == 1, "the armed receiver died at its first object"
    _check(node, at_least=acknowledged)
    with node.stage("receive") as running:
        again = send_files(running.port or 0, FILES)
    assert set(again.values()) == {0x0000}
    _check(node, at_least=set(again))
    assert len(node.records()) == len(FILES)
    assert not [p for p in (tmp_path / "spool" / "incoming").rglob("*") if p.is_file()]


def test_i2_an_orphan_is_adopted_even_if_its_sender_never_comes_back(tmp_path: Path) -> None:
    node = Node(tmp_path)
    with node.stage("receive", crash_at="receive.after_link") as running:
        send_files(running.port or 0, [require(FILES[0])])
        assert running.process.wait(20) == -9
    assert node.records() == {}
    done = dicomqc("ledger", "reconcile", "--grace-seconds", "0", f"--config={node.config}")
    assert (done.returncode, "adopted: 1" in done.stdout) == (0, True), done.stdout + done.stderr
    assert len(node.records()) == 1
    _check(node, at_least=set(node.records()))


def _check(node: Node, *, at_least: set[str]) -> None:
    """Every acknowledged object has its row, its file, and the bytes that its digest names."""
    with node.ledger() as ledger:
        held = list(instances.every_held(ledger))
    assert at_least <= {i.sop_instance_uid for i in held}
    assert all(read.verify(node.folder / "spool", i.path, i.digest) for i in held)
