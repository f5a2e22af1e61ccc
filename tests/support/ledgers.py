"""Steps of the flow, done by hand in tests of the ledger."""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from dicomqc.core.options import SeriesDeliver, SeriesRule
from dicomqc.core.series import decide
from dicomqc.core.verdict import Mode, Verdict
from dicomqc.ledger import leases, tables, verdicts
from dicomqc.ledger.engine import Ledger
from tests.support.facts import scored

decide_any = partial(decide, rule=SeriesRule.ANY, deliver=SeriesDeliver.SATISFACTORY, mode=Mode.ENFORCE, revisions="hold")
observe_any = partial(decide, rule=SeriesRule.ANY, deliver=SeriesDeliver.SATISFACTORY, mode=Mode.OBSERVE, revisions="hold")


def judge_all(ledger: Ledger, judgements: Sequence[Verdict] = ()) -> int:
    """Claim and judge everything that waits: in order of receipt by `judgements`, then satisfactory. Returns how many."""
    count = 0
    for claimed in leases.claim(ledger, owner="test", limit=1000, lease_seconds=60):
        verdicts.judge(ledger, claimed.token, judgements[count] if count < len(judgements) else scored())
        count += 1
    return count


def series_state(ledger: Ledger, series_id: int) -> str:
    """The state of a series, read from its row."""
    with ledger.read() as conn:
        return conn.execute(sa.select(tables.series.c.state).where(tables.series.c.id == series_id)).scalar_one()


def count(ledger: Ledger, table: sa.Table) -> int:
    """How many rows a table has."""
    with ledger.read() as conn:
        return conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
