"""The states of instances, series and deliveries and every move between them, as literal tables.

The names are the CHECK constraints of the ledger (a test compares them); every move writes one row of `events`.
"""

from collections.abc import Mapping
from enum import StrEnum


class InstanceState(StrEnum):
    """Where one SOP Instance stands."""

    RECEIVED = "received"
    SCORING = "scoring"
    JUDGED = "judged"
    QUARANTINED = "quarantined"
    PURGED = "purged"


class SeriesState(StrEnum):
    """Whether a series may still change."""

    OPEN = "open"
    SETTLED = "settled"


class DeliveryState(StrEnum):
    """Where one delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"


class Move(StrEnum):
    """What moves a row from one state to the next."""

    RECEIVE = "receive"
    OPEN = "open"
    ASK = "ask"
    CLAIM = "claim"
    JUDGE = "judge"
    RETRY = "retry"
    RELEASE = "release"
    EXPIRE = "expire"
    GIVE_UP = "give_up"
    REQUEUE = "requeue"
    PURGE = "purge"
    RESEND = "resend"
    SETTLE = "settle"
    REOPEN = "reopen"
    ACCEPTED = "accepted"


INSTANCE_MOVES: Mapping[Move, Mapping[InstanceState, frozenset[InstanceState]]] = {
    Move.CLAIM: {InstanceState.RECEIVED: frozenset({InstanceState.SCORING})},
    Move.JUDGE: {InstanceState.SCORING: frozenset({InstanceState.JUDGED})},
    Move.RETRY: {InstanceState.SCORING: frozenset({InstanceState.RECEIVED})},
    Move.RELEASE: {InstanceState.SCORING: frozenset({InstanceState.RECEIVED})},
    Move.EXPIRE: {InstanceState.SCORING: frozenset({InstanceState.RECEIVED})},
    Move.GIVE_UP: {
        InstanceState.SCORING: frozenset({InstanceState.QUARANTINED}),
        InstanceState.JUDGED: frozenset({InstanceState.QUARANTINED}),
    },
    Move.REQUEUE: {InstanceState.QUARANTINED: frozenset({InstanceState.RECEIVED})},
    Move.PURGE: {
        InstanceState.JUDGED: frozenset({InstanceState.PURGED}),
        InstanceState.QUARANTINED: frozenset({InstanceState.PURGED}),
    },
    Move.RESEND: {InstanceState.PURGED: frozenset({InstanceState.JUDGED, InstanceState.RECEIVED})},
}
SERIES_MOVES: Mapping[Move, Mapping[SeriesState, frozenset[SeriesState]]] = {
    Move.SETTLE: {SeriesState.OPEN: frozenset({SeriesState.SETTLED})},
    Move.REOPEN: {SeriesState.SETTLED: frozenset({SeriesState.OPEN})},
    Move.REQUEUE: {SeriesState.SETTLED: frozenset({SeriesState.OPEN})},
}
DELIVERY_MOVES: Mapping[Move, Mapping[DeliveryState, frozenset[DeliveryState]]] = {
    Move.CLAIM: {DeliveryState.PENDING: frozenset({DeliveryState.SENDING})},
    Move.ACCEPTED: {DeliveryState.SENDING: frozenset({DeliveryState.DELIVERED})},
    Move.RETRY: {DeliveryState.SENDING: frozenset({DeliveryState.PENDING})},
    Move.RELEASE: {DeliveryState.SENDING: frozenset({DeliveryState.PENDING})},
    Move.EXPIRE: {DeliveryState.SENDING: frozenset({DeliveryState.PENDING})},
    Move.GIVE_UP: {DeliveryState.SENDING: frozenset({DeliveryState.UNDELIVERABLE})},
    Move.REQUEUE: {DeliveryState.UNDELIVERABLE: frozenset({DeliveryState.PENDING})},
}
TERMINAL_DELIVERIES = frozenset({DeliveryState.DELIVERED, DeliveryState.UNDELIVERABLE})
