"""Settling: which series are at rest, and what the series rule says of them inside the ledger's own transaction (I9, I14)."""

from collections.abc import Sequence

import structlog

from dicomqc import crashpoints
from dicomqc.core.options import SendOptions
from dicomqc.core.series import Member, SeriesVerdict, decide
from dicomqc.ledger import series
from dicomqc.ledger.engine import Ledger

log = structlog.get_logger()


def settle_due(ledger: Ledger, options: SendOptions) -> int:
    """Settle every series that is due now and ask for its deliveries to every destination; returns how many settled.

    Raises Unavailable.
    """

    def judge(members: Sequence[Member]) -> SeriesVerdict:
        rule = options.series
        verdict = decide(members, rule=rule.rule, deliver=rule.deliver, mode=options.mode, revisions=options.revisions)
        crashpoints.reach("settle.before_commit")
        return verdict

    names = [d.name for d in options.destinations]
    count = 0
    while ready := series.due(ledger, options.series):
        settled = 0
        for series_id in ready:
            done = series.settle(ledger, series_id, options=options.series, decide=judge, destinations=names)
            if done is None:
                continue  # a late instance came in between, or another forwarder was first
            crashpoints.reach("settle.after_commit")
            log.info("series_settled", series=done.series_id, state=done.verdict.outcome.value, count=done.deliveries)
            settled += 1
        count += settled
        if not settled:
            break
    return count
