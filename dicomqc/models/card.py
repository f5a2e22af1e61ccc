"""The card of a model version: everything that a verdict's pixels and figures depend on travels with the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import FrameSpec, is_finite

MAX_TOLERANCE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What `golden.dcm` must give: the SHA-256 of its sampled stored frames, and its logit within `tolerance`."""

    pixels_sha256: str = ""
    logit: float = 0.0
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One immutable model version. `threshold` is P(unsatisfactory) in 0..1; `created` is a date, UTC.

    `metrics` and `training` are free JSON for people: figures with intervals; recipe, seed, data, software.
    A draft has neither `weights_sha256` nor `golden` facts; publishing fills them in.
    """

    name: str
    version: str
    architecture: str
    spec: FrameSpec
    threshold: float
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    licence: str
    intended_use: str
    demonstration: bool
    created: str
    weights_sha256: str = ""
    golden: Golden = Golden()

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` gives an equal card back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "spec": self.spec.to_json(), "golden": asdict(self.golden)}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a card; an unknown, missing or wrongly typed key raises ConfigError with its path."""
        values = _exactly(value, cls, "card")
        golden = _exactly(values["golden"], Golden, "card.golden")
        _typed(golden, {"pixels_sha256": str, "logit": float, "tolerance": float}, "card.golden")
        texts = ("name", "version", "architecture", "weights_sha256", "licence", "intended_use", "created")
        _typed(values, {**dict.fromkeys(texts, str), "threshold": float, "demonstration": bool}, "card")
        _typed(values, {"spec": dict, "metrics": dict, "training": dict}, "card")
        if not 0 <= golden["tolerance"] <= MAX_TOLERANCE:
            raise ConfigError(f"card.golden.tolerance: not between 0 and {MAX_TOLERANCE}: it would switch the self-test off")
        if not 0 < values["threshold"] < 1:
            raise ConfigError("card.threshold: not between 0 and 1")
        return cls(**{**values, "spec": FrameSpec.from_json(values["spec"]), "golden": Golden(**golden)})


def _exactly(value: object, of: type, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not a JSON object")
    names = {f.name for f in fields(of)}
    for key in sorted(names ^ set(value)):
        raise ConfigError(f"{path}.{key}: {'missing' if key in names else 'unknown key'}")
    return value


def _typed(values: Mapping[str, Any], types: Mapping[str, type], path: str) -> None:
    for key, kind in types.items():
        value = values[key]
        fine = isinstance(value, kind) if kind is not float else isinstance(value, int | float) and not isinstance(value, bool)
        if not fine or (kind is float and not is_finite(value)):
            raise ConfigError(f"{path}.{key}: not a {'number' if kind is float else kind.__name__}")
