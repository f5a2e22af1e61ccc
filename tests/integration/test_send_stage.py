"""Settling, retention, C-ECHO, and a ledger that goes away, as the send stage lives them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from dicomqc import crashpoints
from dicomqc.core.delivery import SendFailure
from dicomqc.core.errors import ConfigError, Unavailable
from dicomqc.core.verdict import Mode
from dicomqc.ledger import deliveries, tables
from dicomqc.ledger.engine import open_ledger
from dicomqc.ledger.keeper import LeaseKeeper
from dicomqc.send.echo import echo
from dicomqc.send.forwarder import run_send
from dicomqc.send.purge import purge, remove_bytes
from dicomqc.send.settle import settle_due
from tests.support.databases import postgres_database
from tests.support.facts import ineligible, scored
from tests.support.ledgers import count, judge_all
from tests.support.outbound import Outbox, forwarding, options, small_object, to
from tests.support.peers import downstream, free_port, silent_port
from tests.support.waiting import until


@pytest.fixture
def outbox(tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger:
        yield Outbox(ledger, tmp_path / "spool")


@pytest.fixture
def crash():
    yield crashpoints.arm
    crashpoints.arm(None)


def test_i9_settling_asks_for_each_destination_once(outbox: Outbox) -> None:
    outbox.add(small_object()[0])
    assert settle_due(outbox.ledger, options(to(1, "a"), to(1, "b"))) == 0
    outbox.judge()
    assert settle_due(outbox.ledger, options(to(1, "a"), to(1, "b"))) == 1
    assert settle_due(outbox.ledger, options(to(1, "a"), to(1, "b"))) == 0
    assert [row.destination for row in outbox.deliveries()] == ["a", "b"]


def test_i14_late_instance_settles_again_and_only_it_is_delivered(outbox: Outbox) -> None:
    outbox.add(small_object()[0])
    outbox.judge()
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"])
        late = outbox.add(small_object()[0])
        outbox.judge()
        until(lambda: outbox.states() == ["delivered"] * 2)
        assert (peer.messages, late.sop_instance_uid in peer.objects) == (2, True)
    assert count(outbox.ledger, tables.series_verdicts) == 2


def test_enforce_delivers_only_the_satisfactory_cines(outbox: Outbox) -> None:
    uids = [outbox.add(small_object()[0]).sop_instance_uid for _ in range(3)]
    judge_all(outbox.ledger, [scored(0.9), scored(0.1), ineligible()])
    with downstream() as peer, forwarding(outbox, replace(options(to(peer.port)), mode=Mode.ENFORCE)):
        until(lambda: outbox.states() == ["delivered"])
        assert list(peer.objects) == [uids[1]]


def test_i9_a_settling_that_dies_before_its_commit_leaves_nothing(outbox: Outbox, crash) -> None:
    outbox.add(small_object()[0])
    outbox.judge()

    def die(name: str, _subject: str) -> None:
        if name == "settle.before_commit":
            raise KeyboardInterrupt

    crash(die)
    with pytest.raises(KeyboardInterrupt):
        settle_due(outbox.ledger, options(to(1)))
    assert (outbox.states(), count(outbox.ledger, tables.series_verdicts)) == ([], 0)
    crash(None)
    assert settle_due(outbox.ledger, options(to(1))) == 1


def test_the_named_instants_are_reached_in_order(outbox: Outbox, crash) -> None:
    instance = outbox.add(small_object()[0])
    outbox.judge()
    seen: list[tuple[str, str]] = []
    crash(lambda name, subject: seen.append((name, subject)))
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: any(name == "send.after_commit" for name, _ in seen))
    assert [s for s in seen if s[0].startswith("settle")] == [("settle.before_commit", ""), ("settle.after_commit", "")]
    names = ("send.after_claim", "send.after_response", "send.after_commit")
    assert [s for s in seen if s[0].startswith("send")] == [(name, instance.digest) for name in names]


def test_i5_leases_outlive_their_seconds_while_they_are_kept(outbox: Outbox) -> None:
    for _ in range(2):
        outbox.add(small_object()[0])
    outbox.judge()
    settle_due(outbox.ledger, options(to(1)))
    claim = partial(deliveries.claim, outbox.ledger, owner="test", destination="pacs", limit=2)
    kept, lost = claim(lease_seconds=0.4)
    renew = partial(deliveries.renew, outbox.ledger, lease_seconds=0.4)
    with LeaseKeeper(renew, lease_seconds=0.4) as keeper:
        keeper.hold([kept.token, lost.token])
        deliveries.accept(outbox.ledger, lost.token, status=0)
        started = time.monotonic()
        until(lambda: time.monotonic() - started > 1.0)
        assert deliveries.expire(outbox.ledger) == 0
        assert (keeper.holds(kept.token), keeper.holds(lost.token)) == (True, False)
    until(lambda: deliveries.expire(outbox.ledger) == 1, seconds=5)
    assert not keeper.holds(kept.token)


@pytest.mark.postgres
def test_a_ledger_that_goes_away_is_waited_for(postgres_server: str, tmp_path: Path) -> None:
    with contextmanager(postgres_database)(postgres_server) as url, open_ledger(url, create=True) as ledger:
        outbox = Outbox(ledger, tmp_path / "spool")
        with capture_logs() as said, downstream() as peer, forwarding(outbox, options(to(peer.port))):
            with away(postgres_server, url):
                with pytest.raises(Unavailable):
                    outbox.states()
                until(lambda: len([e for e in said if e["event"] == "send_step_failed"]) >= 4)
            outbox.add(small_object()[0])
            outbox.judge()
            until(lambda: outbox.states() == ["delivered"], seconds=30)


@contextmanager
def away(server_url: str, url: str) -> Iterator[None]:
    """Throw everybody out of the database and let nobody in."""
    name = sa.make_url(url).database
    admin = sa.create_engine(sa.make_url(server_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        conn.execute(sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})
        yield
        conn.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    admin.dispose()


def test_i11_retention_takes_the_row_first_and_then_the_file(outbox: Outbox) -> None:
    kept, sent = (outbox.add(small_object()[0], series=f"1.2.{n}") for n in (1, 2))
    outbox.judge()
    with downstream() as peer, forwarding(outbox, options(to(peer.port))):
        until(lambda: outbox.states() == ["delivered"] * 2)
    t = tables.deliveries
    with outbox.ledger.write() as conn:
        conn.execute(sa.update(t).where(t.c.instance_id == kept.id).values(state="undeliverable"))
    assert purge(outbox.ledger, outbox.root, retention_days=1.0, limit=10) == 0
    assert purge(outbox.ledger, outbox.root, retention_days=0.0, limit=10) == 1
    assert outbox.instance_state(sent.id)[0] == "purged"
    assert not (outbox.root / sent.path).exists()
    assert (outbox.root / kept.path).exists()


def test_i3_a_resend_after_the_row_was_purged_keeps_its_bytes(outbox: Outbox) -> None:
    part10, _ = small_object()
    instance = outbox.add(part10)
    assert not remove_bytes(outbox.ledger, outbox.root, instance)
    assert (outbox.root / instance.path).exists()


def test_the_running_stage_purges_what_retention_no_longer_holds(outbox: Outbox) -> None:
    instance = outbox.add(small_object()[0])
    outbox.judge()
    settle_due(outbox.ledger, options())
    with forwarding(outbox, options(retention_days=0.0)):
        until(lambda: not (outbox.root / instance.path).exists())


def test_decompress_is_refused_at_the_start(outbox: Outbox) -> None:
    with pytest.raises(ConfigError, match="decompress"):
        run_send(outbox.ledger, options(replace(to(1), decompress=True)), outbox.root, threading.Event(), "test")


def test_an_idle_stage_asks_the_ledger_a_few_times_a_second_at_most(outbox: Outbox) -> None:
    calm = replace(options(to(1, "a"), to(1, "b")), series=replace(options().series, quiet_seconds=30.0))
    asked: list[float] = []
    with forwarding(outbox, calm):
        sa.event.listen(outbox.ledger.engine, "begin", lambda _conn: asked.append(time.monotonic()))
        until(lambda: len(asked) >= 12, "a dozen transactions")
    # Housekeeping and two destinations, each with a poll of at least half a second: a busy loop would need milliseconds.
    assert asked[11] - asked[0] > 0.5


def test_echo_tells_an_answer_from_each_kind_of_silence() -> None:
    with downstream() as peer:
        good = echo("PACS", "127.0.0.1", peer.port, "DICOMQC", 5.0)
        stranger = echo("NOBODY", "127.0.0.1", peer.port, "DICOMQC", 5.0)
    gone = echo("PACS", "127.0.0.1", free_port(), "DICOMQC", 5.0)
    with silent_port() as port:
        mute = echo("PACS", "127.0.0.1", port, "DICOMQC", 0.3)
    assert (good.associated, good.status, good.failure, good.reason) == (True, 0, None, None)
    assert (stranger.associated, stranger.failure) == (False, SendFailure.REJECTED_PERMANENT)
    assert stranger.reason == "association rejected, permanent: the peer does not answer to this AE title"
    assert (gone.failure, gone.reason) == (SendFailure.UNREACHABLE, "no connection to the peer (ECONNREFUSED)")
    assert (mute.failure, mute.reason) == (SendFailure.TIMED_OUT, "no progress for 0.3 seconds")
    assert 0.3 <= mute.seconds < 2


def test_a_name_that_does_not_resolve_is_a_result() -> None:
    assert echo("PACS", "nobody.invalid", 104, "DICOMQC", 1.0).failure is SendFailure.UNREACHABLE
    assert echo("PACS", "a" * 64 + ".invalid", 104, "DICOMQC", 1.0).failure is SendFailure.UNREACHABLE
