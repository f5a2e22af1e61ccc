"""What every runtime offers, and the numbers that say how exact it is."""

from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Precision = Literal["fp32", "bf16"]
# How far a logit may lie from the published one, beyond the card's own tolerance, by the arithmetic of the call.
EXTRA_TOLERANCE: Final = {"fp32": 0.0, "bf16": 0.5}


class Runtime(Protocol):
    """A loaded network on one device in one precision, for its whole life."""

    @property
    def engine(self) -> str:
        """The library that computes: openvino or torch."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic: fp32 or bf16."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: cpu or cuda:N."""
        ...

    @property
    def threads(self) -> int:
        """How many processor threads one call uses."""
        ...

    @property
    def max_clips(self) -> int:
        """How many clips one call may hold."""
        ...

    def logits(self, frames: NDArray[np.uint8]) -> list[float]:
        """Clips of grey levels uint8 [N,T,S,S] to one logit each. The library's own errors come out as RuntimeError."""
        ...
