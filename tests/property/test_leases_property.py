"""Leases under any schedule (I5, I6, I7), against real SQLite.

Killed mutants, each tried: one token per owner; an end that ignores the token or never raises; `expire` without `attempts`,
without `claimed_alone` or suspicion; `put_back` that keeps the lease or forgets `alone_next`; `release` that keeps the attempt;
a claim that counts none; a suspect in a batch; `quarantine` that puts back; `renew` of the dead.
"""

import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dicomqc.core.errors import LeaseLost
from dicomqc.core.instance import ClaimedInstance
from dicomqc.ledger import instances, leases, tables, verdicts
from dicomqc.ledger.engine import open_ledger
from tests.support.facts import received, scored
from tests.support.ledgers import hours_later, moves, rows

OWNERS = ("one", "two", "three")


class Schedule(RuleBasedStateMachine):
    """Several workers claim, judge, fail, stop and die in any order; a model beside the ledger says what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = open_ledger(f"sqlite:///{Path(self.folder.name)}/ledger.db", create=True)
        self.arrived = 0
        self.live: dict[str, ClaimedInstance] = {}
        self.dead: set[str] = set()
        self.attempts: dict[int, int] = {}
        self.suspects: set[int] = set()
        self.ended: dict[int, str] = {}

    def teardown(self) -> None:
        """Drain by one healthy worker: whatever happened before, every instance reaches an end, exactly once."""
        self.time_passes()
        self.die(max_attempts=3)
        while held := self._claim("healer", 8):
            for lease in held:
                self._judge(lease)
        self.consistent()
        for row in rows(self.ledger, tables.instances):
            assert row.state == self.ended[row.id]
            ends = [m for m in moves(self.ledger, "instance", row.id) if m in {"judge", "give_up"}]
            assert len(ends) == 1
        self.ledger.close()
        self.folder.cleanup()

    @rule(number=st.integers(1, 5))
    def arrive(self, number: int) -> None:
        for _ in range(number):
            self.arrived += 1
            instances.record(self.ledger, received(self.arrived), revision_note=None)

    @rule(owner=st.sampled_from(OWNERS), limit=st.sampled_from([4, 3, 2, 1]))
    def claims(self, owner: str, limit: int) -> None:
        self._claim(owner, limit)

    def _claim(self, owner: str, limit: int) -> list[ClaimedInstance]:
        held = leases.claim(self.ledger, owner=owner, limit=limit, lease_seconds=600)
        known = set(self.live) | self.dead
        taken = {lease.instance.id for lease in self.live.values()}
        assert len(held) <= limit
        for lease in held:
            number = lease.instance.id
            assert lease.token not in known
            assert number not in taken
            assert number not in self.ended
            self.attempts[number] = self.attempts.get(number, 0) + 1
            assert lease.attempts == self.attempts[number]
            assert lease.alone or number not in self.suspects
            assert not lease.alone or len(held) == 1
            self.live[lease.token] = lease
        return held

    def _end(self, lease: ClaimedInstance) -> int:
        del self.live[lease.token]
        self.dead.add(lease.token)
        return lease.instance.id

    def _judge(self, lease: ClaimedInstance) -> None:
        verdicts.judge(self.ledger, lease.token, scored())
        self.ended[self._end(lease)] = "judged"

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def judges(self, data: st.DataObject) -> None:
        self._judge(data.draw(self._some()))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), alone_next=st.booleans())
    def fails(self, data: st.DataObject, alone_next: bool) -> None:
        lease = data.draw(self._some())
        leases.put_back(self.ledger, lease.token, delay_seconds=0, reason="scorer_failed", alone_next=alone_next)
        number = self._end(lease)
        if alone_next:
            self.suspects.add(number)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def gives_up(self, data: st.DataObject) -> None:
        lease = data.draw(self._some())
        leases.quarantine(self.ledger, lease.token, reason="decoder_crashed")
        self.ended[self._end(lease)] = "quarantined"

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def stops(self, data: st.DataObject) -> None:
        given = data.draw(st.lists(self._some(), min_size=1, unique_by=lambda lease: lease.token))
        leases.release(self.ledger, [lease.token for lease in given])
        for lease in given:
            self.attempts[self._end(lease)] -= 1

    @rule(max_attempts=st.integers(1, 3))
    def die(self, max_attempts: int) -> None:
        """Every worker dies; the sweeper finds their leases expired."""
        hours_later(self.ledger, tables.instances, "lease_expires_at")
        swept = leases.expire(self.ledger, max_attempts=max_attempts)
        assert swept == len(self.live)
        for lease in list(self.live.values()):
            number = self._end(lease)
            if lease.alone and self.attempts[number] >= max_attempts:
                self.ended[number] = "quarantined"
            else:
                self.suspects.add(number)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def comes_late(self, data: st.DataObject) -> None:
        """A worker that was thought dead ends its work with a token of the past."""
        token = data.draw(st.sampled_from(sorted(self.dead)))
        for late in (
            lambda: verdicts.judge(self.ledger, token, scored(0.9)),
            lambda: leases.put_back(self.ledger, token, delay_seconds=0, reason="unexpected", alone_next=True),
            lambda: leases.quarantine(self.ledger, token, reason="unexpected"),
        ):
            try:
                late()
            except LeaseLost:
                continue
            raise AssertionError("a lost lease ended work")
        leases.release(self.ledger, [token])
        assert leases.renew(self.ledger, [token], lease_seconds=600) == set()

    @precondition(lambda self: self.live)
    @rule()
    def heartbeat(self) -> None:
        assert leases.renew(self.ledger, list(self.live), lease_seconds=600) == set(self.live)

    @rule()
    def sweep(self) -> None:
        assert leases.expire(self.ledger, max_attempts=1) == 0

    def time_passes(self) -> None:
        hours_later(self.ledger, tables.instances, "next_attempt_at")

    def _some(self) -> st.SearchStrategy[ClaimedInstance]:
        return st.sampled_from([self.live[token] for token in sorted(self.live)])

    @invariant()
    def consistent(self) -> None:
        found = {r.id: r for r in rows(self.ledger, tables.instances)}
        held = {lease.instance.id: token for token, lease in self.live.items()}
        assert len(found) == self.arrived
        for number, row in found.items():
            expected = "scoring" if number in held else self.ended.get(number, "received")
            assert (row.state, row.lease_token) == (expected, held.get(number))
            assert row.attempts == self.attempts.get(number, 0)
        with self.ledger.read() as conn:
            judged = list(conn.execute(sa.select(tables.verdicts.c.instance_id)).scalars())
        assert sorted(judged) == sorted(n for n, state in self.ended.items() if state == "judged")


# Without shrinking: every step commits to a disk, and minutes of it would end in the test's time-out instead of its message.
Schedule.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
TestEveryScheduleEndsEachInstanceExactlyOnce = Schedule.TestCase
