"""Receipt: the laws that let a receiver say Success (I1, I3, I14)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomqc.core.errors import ConfigError, IntegrityError, Unavailable
from dicomqc.core.instance import RevisionNote
from dicomqc.core.intake import Intake
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import instances, leases, retention, series, verdicts
from dicomqc.ledger.engine import Ledger, open_ledger
from tests.support.facts import AT_ONCE, received, scored
from tests.support.ledgers import decide_any, judge_all, series_state, settle_all


@pytest.fixture
def ledger(ledger_url):
    with open_ledger(ledger_url, create=True) as opened:
        yield opened


def test_i3_same_key_makes_one_row(ledger: Ledger) -> None:
    first = instances.record(ledger, received(1), revision_note=None)
    again = instances.record(ledger, received(1), revision_note=None)
    assert (first.intake, again.intake) == (Intake.NEW, Intake.DUPLICATE)
    assert first.instance == again.instance
    assert len(instances.held(ledger, "1.2.3.1")) == 1


def test_i3_other_bytes_become_a_flagged_second_revision(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    second = instances.record(ledger, received(1, content="other"), revision_note=RevisionNote.ELEMENTS)
    assert second.intake is Intake.REVISION
    assert (second.instance.revision, second.instance.revision_note) == (2, RevisionNote.ELEMENTS)
    assert [i.revision for i in instances.held(ledger, "1.2.3.1")] == [1, 2]


def test_i3_racing_associations_agree_on_rows_and_revisions(ledger: Ledger) -> None:
    arrivals = [received(n % 4, series=n % 2, content=str(n % 3)) for n in range(48)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda r: instances.record(ledger, r, revision_note=None), arrivals))
    assert sum(r.intake is not Intake.DUPLICATE for r in done) == len({r.digest for r in arrivals}) == 12
    for number in range(4):
        assert [i.revision for i in instances.held(ledger, f"1.2.3.{number}")] == [1, 2, 3]


def test_i14_late_instance_reopens_its_series(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    judge_all(ledger)
    (series_id,) = series.due(ledger, AT_ONCE)
    assert series.settle(ledger, series_id, options=AT_ONCE, decide=decide_any, destinations=["pacs"]) is not None
    assert series_state(ledger, series_id) == "settled"
    instances.record(ledger, received(2), revision_note=None)
    assert series_state(ledger, series_id) == "open"


def test_i3_purged_bytes_are_taken_again(ledger: Ledger) -> None:
    first = instances.record(ledger, received(1), revision_note=None)
    judge_all(ledger)
    settle_all(ledger, destinations=[])
    assert retention.mark_purged(ledger, [first.instance.id]) == [first.instance.id]
    again = instances.record(ledger, received(1), revision_note=None)
    assert (again.intake, again.instance.state) == (Intake.RESENT, InstanceState.JUDGED)


def test_i4_broken_bytes_are_replaced_by_a_resend(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    (claimed,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, claimed.token, reason="digest_mismatch")
    again = instances.record(ledger, received(1), revision_note=None)
    assert (again.intake, again.instance.state, again.instance.reason) == (Intake.RESENT, InstanceState.RECEIVED, None)
    (claimed,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    verdicts.judge(ledger, claimed.token, scored())


def test_a_quarantine_that_is_not_about_bytes_survives_a_resend(ledger: Ledger) -> None:
    instances.record(ledger, received(1), revision_note=None)
    (claimed,) = leases.claim(ledger, owner="w", limit=1, lease_seconds=60)
    leases.quarantine(ledger, claimed.token, reason="decoder_crashed")
    assert instances.record(ledger, received(1), revision_note=None).intake is Intake.DUPLICATE
    assert instances.held(ledger, "1.2.3.1")[0].state is InstanceState.QUARANTINED


def test_every_held_pages_without_loss_and_leaves_purged_rows_out(ledger: Ledger) -> None:
    ids = [instances.record(ledger, received(n), revision_note=None).instance.id for n in range(7)]
    judge_all(ledger)
    settle_all(ledger, destinations=[])
    retention.mark_purged(ledger, ids[:2])
    assert [i.id for i in instances.every_held(ledger, chunk=2)] == ids[2:]


def test_i13_old_schema_is_refused_and_names_the_upgrade(ledger: Ledger, ledger_url: str) -> None:
    with ledger.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(IntegrityError, match="ledger upgrade"):
        open_ledger(ledger_url, create=True)


def test_i13_an_empty_database_is_refused_unless_it_may_be_made(ledger_url: str) -> None:
    with pytest.raises(IntegrityError, match="none"):
        open_ledger(ledger_url, create=False)


def test_a_foreign_database_is_left_alone(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger, ledger.write() as conn:
        conn.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(IntegrityError, match="not dicomqc's"):
        open_ledger(ledger_url, create=True)


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "sqlite://"])
def test_unusable_urls_are_configuration_errors(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url"):
        open_ledger(url, create=True)


def test_an_absent_server_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        open_ledger("postgresql://nobody@127.0.0.1:1/none", create=True)
