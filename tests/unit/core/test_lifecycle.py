"""The moves between states, word for word as the architecture draws them (section 5)."""

import pytest

from dicomqc.core import lifecycle
from dicomqc.core.lifecycle import DELIVERY_MOVES, INSTANCE_MOVES, SERIES_MOVES, DeliveryState, InstanceState, SeriesState


def arrows(moves) -> set[tuple[str, str, str]]:
    return {
        (source.value, move.value, target.value)
        for move, by in moves.items()
        for source, targets in by.items()
        for target in targets
    }


def test_instance_moves_are_those_of_the_architecture() -> None:
    assert arrows(INSTANCE_MOVES) == {
        ("received", "claim", "scoring"),
        ("scoring", "judge", "judged"),
        ("scoring", "retry", "received"),
        ("scoring", "release", "received"),
        ("scoring", "expire", "received"),
        ("scoring", "give_up", "quarantined"),
        ("judged", "give_up", "quarantined"),
        ("quarantined", "requeue", "received"),
        ("judged", "purge", "purged"),
        ("quarantined", "purge", "purged"),
        ("purged", "resend", "judged"),
        ("purged", "resend", "received"),
    }


def test_series_moves_are_those_of_the_architecture() -> None:
    assert arrows(SERIES_MOVES) == {
        ("open", "settle", "settled"),
        ("settled", "reopen", "open"),
        ("settled", "requeue", "open"),
    }


def test_delivery_moves_are_those_of_the_architecture() -> None:
    assert arrows(DELIVERY_MOVES) == {
        ("pending", "claim", "sending"),
        ("sending", "accepted", "delivered"),
        ("sending", "retry", "pending"),
        ("sending", "release", "pending"),
        ("sending", "expire", "pending"),
        ("sending", "give_up", "undeliverable"),
        ("undeliverable", "requeue", "pending"),
    }


@pytest.mark.parametrize(
    ("moves", "states", "start"),
    [
        (INSTANCE_MOVES, InstanceState, InstanceState.RECEIVED),
        (SERIES_MOVES, SeriesState, SeriesState.OPEN),
        (DELIVERY_MOVES, DeliveryState, DeliveryState.PENDING),
    ],
)
def test_every_state_is_reached_from_the_first(moves, states, start) -> None:
    reached = {start}
    for _ in states:
        reached |= {t for by in moves.values() for s, targets in by.items() if s in reached for t in targets}
    assert reached == set(states)


def test_only_a_person_moves_a_terminal_delivery() -> None:
    leaving = {m for m, by in DELIVERY_MOVES.items() if set(by) & lifecycle.TERMINAL_DELIVERIES}
    assert leaving == {lifecycle.Move.REQUEUE}
    assert {d.value for d in lifecycle.TERMINAL_DELIVERIES} == {"delivered", "undeliverable"}


def test_names_fit_the_columns_of_the_ledger() -> None:
    names = [*InstanceState, *SeriesState, *DeliveryState, *lifecycle.Move]
    assert max(map(len, names)) <= 16
