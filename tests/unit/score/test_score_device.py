"""A device is what it says or is refused by its key."""

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.score.device import select


def test_cpu_is_always_there() -> None:
    assert str(select("cpu")) == "cpu"


@pytest.mark.parametrize("name", ["cuda:63", "tpu", "cuda:x", ""])
def test_what_is_not_here_is_refused_by_its_key(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^score\.device: "):
        select(name)
