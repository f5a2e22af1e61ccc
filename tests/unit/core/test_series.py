"""The series rule over its whole table: every composition of members, both rules, both modes, both deliveries."""

from itertools import combinations_with_replacement, permutations, product

import pytest

from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import SeriesDeliver, SeriesRule
from dicomqc.core.series import Member, decide
from dicomqc.core.verdict import Mode, Outcome

GOOD, BAD, NONE = Outcome.SATISFACTORY, Outcome.UNSATISFACTORY, Outcome.INELIGIBLE
KINDS = {
    "good": (InstanceState.JUDGED, GOOD),
    "bad": (InstanceState.JUDGED, BAD),
    "ineligible": (InstanceState.JUDGED, NONE),
    "quarantined": (InstanceState.QUARANTINED, None),
    "quarantined_later": (InstanceState.QUARANTINED, GOOD),
    "purged_good": (InstanceState.PURGED, GOOD),
    "purged_bad": (InstanceState.PURGED, BAD),
    "purged_unjudged": (InstanceState.PURGED, None),
}
SERIES = [kinds for size in range(4) for kinds in combinations_with_replacement(KINDS, size)]


def members(kinds, revisions=None) -> list[Member]:
    return [
        Member(
            instance_id=n, state=KINDS[kind][0], outcome=KINDS[kind][1], revision=1 if revisions is None else revisions[n - 1]
        )
        for n, kind in enumerate(kinds, 1)
    ]


def judged(kinds, **choices):
    defaults = {"rule": SeriesRule.ANY, "deliver": SeriesDeliver.SATISFACTORY, "mode": Mode.ENFORCE, "revisions": "hold"}
    return decide(members(kinds), **{**defaults, **choices})


def expected_outcome(kinds, rule: SeriesRule) -> Outcome:
    good = sum(k in {"good", "purged_good"} for k in kinds)
    bad = sum(k in {"bad", "purged_bad"} for k in kinds)
    if not good and not bad:
        return NONE
    if rule is SeriesRule.ANY:
        return GOOD if good else BAD
    return GOOD if good and not bad and not any(k.startswith("quarantined") for k in kinds) else BAD


@pytest.mark.parametrize("rule", SeriesRule)
def test_the_outcome_over_every_composition(rule: SeriesRule) -> None:
    for kinds in SERIES:
        assert judged(kinds, rule=rule).outcome is expected_outcome(kinds, rule), kinds


def test_the_counts_over_every_composition() -> None:
    for kinds in SERIES:
        v = judged(kinds)
        assert v.satisfactory == sum(k in {"good", "purged_good"} for k in kinds), kinds
        assert v.unsatisfactory == sum(k in {"bad", "purged_bad"} for k in kinds), kinds
        assert v.ineligible == kinds.count("ineligible"), kinds
        assert v.quarantined == sum(k.startswith("quarantined") for k in kinds), kinds


@pytest.mark.parametrize(("rule", "deliver"), list(product(SeriesRule, SeriesDeliver)))
def test_enforce_releases_only_judged_members_of_a_satisfactory_series(rule: SeriesRule, deliver: SeriesDeliver) -> None:
    for kinds in SERIES:
        allowed = {"good"} if deliver is SeriesDeliver.SATISFACTORY else {"good", "bad", "ineligible"}
        satisfactory = expected_outcome(kinds, rule) is GOOD
        wanted = tuple(n for n, k in enumerate(kinds, 1) if satisfactory and k in allowed)
        assert judged(kinds, rule=rule, deliver=deliver).released == wanted, kinds


@pytest.mark.parametrize(("rule", "deliver"), list(product(SeriesRule, SeriesDeliver)))
def test_observe_releases_whatever_is_stored(rule: SeriesRule, deliver: SeriesDeliver) -> None:
    for kinds in SERIES:
        wanted = tuple(n for n, k in enumerate(kinds, 1) if not k.startswith("purged"))
        assert judged(kinds, rule=rule, deliver=deliver, mode=Mode.OBSERVE).released == wanted, kinds


def test_the_order_of_members_changes_nothing_but_the_order_of_release() -> None:
    for kinds in permutations(("good", "bad", "quarantined", "ineligible")):
        v = judged(kinds)
        assert (v.outcome, v.released) == (GOOD, (kinds.index("good") + 1,))


@pytest.mark.parametrize("mode", Mode)
def test_i3_hold_releases_first_revisions_only_and_all_releases_every_one(mode: Mode) -> None:
    chosen = members(("good", "good", "good"), revisions=(1, 2, 3))
    rest = {"rule": SeriesRule.ANY, "deliver": SeriesDeliver.SATISFACTORY, "mode": mode}
    assert decide(chosen, revisions="hold", **rest).released == (1,)
    assert decide(chosen, revisions="all", **rest).released == (1, 2, 3)


def test_the_rule_is_kept_beside_the_outcome() -> None:
    assert judged(("good",), rule=SeriesRule.ALL).rule is SeriesRule.ALL
