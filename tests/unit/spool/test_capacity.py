from pathlib import Path

import pytest

from dicomqc.spool import capacity
from dicomqc.spool.capacity import Level


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (801, Level.OK),
        (800, Level.OK),
        (799, Level.LOW),
        (400, Level.LOW),
        (399, Level.CRITICAL),
        (100, Level.CRITICAL),
        (99, Level.EXHAUSTED),
        (0, Level.EXHAUSTED),
    ],
)
def test_i13_the_watermarks_lie_at_the_minimum_half_and_an_eighth(free: int, level: Level) -> None:
    assert capacity.level_of(free, 800) is level


def test_a_minimum_of_nothing_never_closes_the_door(tmp_path: Path) -> None:
    assert capacity.level_of(0, 0) is Level.OK
    assert capacity.level(tmp_path, 0) is Level.OK
    assert capacity.level(tmp_path, capacity.free_bytes(tmp_path) * 100) is Level.EXHAUSTED
