"""The FrameSpec: which frames a model sees, at which size and in which units, as a value with a digest.

Weights carry their FrameSpec; whoever changes one number here changes the digest. Imports neither torch nor cv2.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from dicomqc.core.errors import ConfigError

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": ("3d", "2d"),
    "normalisation": ("per_clip", "fixed"),
    "resize": ("area",),
}
# Beyond any cine: a hostile card must not ask for a billion frames.
_MOST: Final = 100_000
_COUNTS: Final = ("first", "window", "step", "size", "channels")
_POSITIVE: Final = ("std_floor", "std", "frame_rate_hz")
_NOT_NEGATIVE: Final = ("mean", "frame_rate_tolerance_hz")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """How a cine becomes a model's input (the paper: 32 frames starting at the 16th; 1-based counting is ours).

    `first`, `window`, `step` count frames; `size` is pixels of the square side; `std_floor` is grey levels of 0..255;
    `mean` and `std` are on 0..1 and used by `fixed` only. `resize` area: cv2 INTER_AREA, linear where an axis grows.
    A value that cannot be used raises ConfigError with its key.
    """

    kind: Literal["3d", "2d"]
    first: int = 16
    window: int = 32
    step: int
    size: int
    channels: int = 3
    normalisation: Literal["per_clip", "fixed"] = "per_clip"
    std_floor: float = 8.0
    mean: float = 0.45
    std: float = 0.225
    frame_rate_hz: float = 15.0
    frame_rate_tolerance_hz: float = 0.5
    resize: Literal["area"] = "area"

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ConfigError(f"FrameSpec.{key}: {getattr(self, key)!r} is not one of {', '.join(choices)}")
        for key in _COUNTS:
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
                raise ConfigError(f"FrameSpec.{key}: {value!r} is not a whole number from 1 to {_MOST}")
        for key in (*_POSITIVE, *_NOT_NEGATIVE):
            value = getattr(self, key)
            if not is_finite(value) or value < 0 or (value == 0 and key in _POSITIVE):
                raise ConfigError(f"FrameSpec.{key}: {value!r} is not a usable number")
            # 8 and 8.0 are one spec, so they must be one digest.
            object.__setattr__(self, key, float(value))

    @property
    def last_frame(self) -> int:
        """The last 1-based frame number of the window: a cine must have this many frames (47 for the paper's window)."""
        return self.first + self.window - 1

    def frame_numbers(self) -> tuple[int, ...]:
        """The 1-based frame numbers that the model sees, ascending (3D: 16, 18, … 46; 2D: 16, 24, 32, 40)."""
        return tuple(range(self.first, self.last_frame + 1, self.step))

    def to_json(self) -> dict[str, Any]:
        """Every field as a JSON value; `from_json` gives the equal spec back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FrameSpec":
        """The spec of a card or recipe. Unknown keys, missing keys and unusable values raise ConfigError with the key."""
        known = {f.name for f in fields(cls)}
        for key in value:
            if key not in known:
                raise ConfigError(f"FrameSpec.{key}: unknown key")
        for key in ("kind", "step", "size"):
            if key not in value:
                raise ConfigError(f"FrameSpec.{key}: missing")
        return cls(**value)

    def digest(self) -> str:
        """Hex SHA-256 of the canonical JSON (sorted keys, no blanks)."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def is_finite(value: object) -> bool:
    """Whether `value` is a number that a float can hold (a whole number of 400 digits is none)."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


X3D_S: Final = FrameSpec(kind="3d", step=2, size=160)
X3D_L: Final = FrameSpec(kind="3d", step=2, size=312)
RESNET_3D: Final = FrameSpec(kind="3d", step=2, size=160)
RESNET_2D: Final = FrameSpec(kind="2d", step=8, size=299)
