"""The verdict on a series and what it releases: pure functions over its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import SeriesDeliver, SeriesRule
from dicomqc.core.verdict import Mode, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One instance of a series as the series rule sees it; `outcome` is null unless it was judged."""

    instance_id: int
    state: InstanceState
    outcome: Outcome | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesVerdict:
    """What one settling decided, with the counts that it rests on. `released` are instance ids to deliver, in receipt order."""

    outcome: Outcome
    rule: SeriesRule
    satisfactory: int
    unsatisfactory: int
    ineligible: int
    quarantined: int
    released: tuple[int, ...]


def decide(
    members: Sequence[Member], *, rule: SeriesRule, deliver: SeriesDeliver, mode: Mode, revisions: Literal["hold", "all"]
) -> SeriesVerdict:
    """Judge a series whose members are all at rest, and say which of them to deliver.

    Only scored cines vote: a series without one is ineligible. A quarantined instance does not vote and blocks `all`.
    `observe` releases every stored instance, `enforce` what `deliver` asks for of a satisfactory series.
    """
    quarantined = sum(m.state is InstanceState.QUARANTINED for m in members)
    counts = {o: sum(m.outcome is o and m.state is not InstanceState.QUARANTINED for m in members) for o in Outcome}
    good, bad = counts[Outcome.SATISFACTORY], counts[Outcome.UNSATISFACTORY]
    if good + bad == 0:
        outcome = Outcome.INELIGIBLE
    elif good and (rule is SeriesRule.ANY or (bad == 0 and quarantined == 0)):
        outcome = Outcome.SATISFACTORY
    else:
        outcome = Outcome.UNSATISFACTORY
    released = tuple(
        m.instance_id
        for m in members
        if (revisions == "all" or m.revision == 1) and _is_released(m, outcome=outcome, deliver=deliver, mode=mode)
    )
    return SeriesVerdict(
        outcome=outcome,
        rule=rule,
        satisfactory=good,
        unsatisfactory=bad,
        ineligible=counts[Outcome.INELIGIBLE],
        quarantined=quarantined,
        released=released,
    )


def _is_released(member: Member, *, outcome: Outcome, deliver: SeriesDeliver, mode: Mode) -> bool:
    if member.state is InstanceState.PURGED:
        return False
    if mode is Mode.OBSERVE:
        return True
    if outcome is not Outcome.SATISFACTORY or member.state is not InstanceState.JUDGED:
        return False
    return deliver is SeriesDeliver.ALL or member.outcome is Outcome.SATISFACTORY
