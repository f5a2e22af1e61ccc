"""Steps of the flow, done by hand in tests of the ledger."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from dicomqc.core.options import SeriesDeliver, SeriesOptions, SeriesRule
from dicomqc.core.series import Member, SeriesVerdict, decide
from dicomqc.core.verdict import Mode, Verdict
from dicomqc.ledger import leases, series, tables, verdicts
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.series import Settled
from tests.support.facts import AT_ONCE, scored

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


def settle_all(
    ledger: Ledger,
    *,
    destinations: Sequence[str] = ("pacs",),
    decision: Callable[[Sequence[Member]], SeriesVerdict] = decide_any,
    options: SeriesOptions = AT_ONCE,
) -> list[Settled]:
    """Settle every series that is due."""
    done = [
        series.settle(ledger, s, options=options, decide=decision, destinations=destinations)
        for s in series.due(ledger, options)
    ]
    return [d for d in done if d is not None]


def hours_later(ledger: Ledger, table: sa.Table, *columns: str, hours: float = 1.0) -> None:
    """Let time pass: move the named columns of every row of a table into the past, as the database's clock would."""
    with ledger.write() as conn:
        t = table
        for row in conn.execute(sa.select(t)).all():
            m = row._mapping
            past = {c: m[c] - timedelta(hours=hours) for c in columns if m[c] is not None}
            if past:
                conn.execute(sa.update(t).where(t.c.id == row.id).values(**past))


def expire_leases(ledger: Ledger, table: sa.Table = tables.instances) -> None:
    """Every lease of a table has run out, and nobody has swept yet."""
    hours_later(ledger, table, "lease_expires_at", hours=1e5)


def rows(ledger: Ledger, table: sa.Table) -> Sequence[sa.Row[tuple[object, ...]]]:
    """Every row of a table, by id."""
    with ledger.read() as conn:
        return conn.execute(sa.select(table).order_by(table.c.id)).all()


def moves(ledger: Ledger, subject: str, subject_id: int) -> list[str]:
    """The moves that one row has made, oldest first."""
    t = tables.events
    with ledger.read() as conn:
        found = sa.select(t.c.move).where(t.c.subject == subject, t.c.subject_id == subject_id).order_by(t.c.id)
        return list(conn.execute(found).scalars())
