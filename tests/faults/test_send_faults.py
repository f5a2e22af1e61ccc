"""kill -9 of the sender at each of its crash points: everything arrives, nothing unjudged goes out (I9, I10)."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from tests.support.ledgers import judge_all
from tests.support.nodes import Node
from tests.support.outbound import Outbox, small_object
from tests.support.peers import downstream
from tests.support.waiting import until

POINTS = (
    "settle.before_commit",
    "settle.after_commit",
    "send.after_claim",
    "send.after_response",
    "send.after_commit",
)


@pytest.mark.parametrize("point", POINTS)
def test_i10_everything_arrives_and_nothing_before_its_verdict(tmp_path: Path, point: str) -> None:
    with downstream() as peer:
        node = Node(
            tmp_path / "node",
            series={"quiet_seconds": 0},
            send={"destinations": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": peer.port}]},
        )
        with node.ledger() as ledger:
            outbox = Outbox(ledger, node.folder / "spool")
            sent = dict(_add(outbox, n) for n in range(4))
            judge_all(ledger)
            unjudged, _ = _add(outbox, 9)
            with node.stage("send", crash_at=point) as running:
                assert running.process.wait(60) == -9
            time_passes(ledger)
            with node.stage("send"):
                until(lambda: outbox.states() == ["delivered"] * 4, "four deliveries")
            assert {uid: peer.objects[uid] for uid in sent} == sent
            assert unjudged not in peer.objects
            assert _asked_before_judged(ledger) == 0


def _add(outbox: Outbox, number: int) -> tuple[str, bytes]:
    part10, _ = small_object(size=1000 + number)
    instance = outbox.add(part10, series=f"1.2.8.{number}")
    return instance.sop_instance_uid, part10[-instance.size_bytes :]


def time_passes(ledger: Ledger) -> None:
    """Every lease has run out, as it would a minute after the crash."""
    with ledger.write() as conn:
        now = ledger.now(conn)
        for table in (tables.instances, tables.deliveries):
            conn.execute(sa.update(table).where(table.c.lease_token.is_not(None)).values(lease_expires_at=now))


def _asked_before_judged(ledger: Ledger) -> int:
    e, d, i = tables.events, tables.deliveries, tables.instances
    with ledger.read() as conn:
        judged = sa.exists().where(
            e.c.subject == "instance", e.c.subject_id == d.c.instance_id, e.c.move == "judge", e.c.at <= d.c.asked_at
        )
        return conn.execute(
            sa.select(sa.func.count()).select_from(d.join(i, i.c.id == d.c.instance_id)).where(~judged)
        ).scalar_one()
