"""How much one object may ask for before it is refused: hostile headers are cheap to write and dear to believe."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one object. Sizes are bytes, sides are pixels.

    `max_elements` counts data elements walked at all levels of a header; `max_fragments` the items of encapsulated pixel
    data; `max_clip_bytes` the sampled frames after decoding; `max_inflated_bytes` a deflated data set after inflation.
    """

    max_value_bytes: int = MIB
    max_elements: int = 500_000
    max_depth: int = 64
    max_fragments: int = 100_000
    max_side: int = 8192
    # Half of what a decoder process may take: the displayed copy and the codec lie beside it.
    max_clip_bytes: int = 512 * MIB
    max_inflated_bytes: int = 512 * MIB


DEFAULT_LIMITS: Final = Limits()
