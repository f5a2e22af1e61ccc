"""The recipe: everything that decides a run, read from YAML; unknown keys are refused."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry, zoo
from dicomqc.sample.spec import FrameSpec, is_finite
from training.augment import Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of the multigrid schedule: `steps` batches of `batch` clips of `frames` frames of `size` pixels square."""

    frames: int
    size: int
    steps: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run. `patients` of the training cohort are split; `unseen_patients` come from a cohort of another seed.

    The learning rate rises over `warmup` of all steps and falls by a cosine; `ema` is the averaged weights' decay per step;
    `kind_loss` weighs the second lesson, which of the phantom's kinds a clip is.
    """

    name: str
    version: str
    model: str
    spec: FrameSpec
    patients: int
    unseen_patients: int
    unsatisfactory: float
    phases: tuple[Phase, ...]
    learning_rate: float
    weight_decay: float
    warmup: float
    ema: float
    dropout: float
    kind_loss: float
    reestimate_clips: int
    margin: int
    checkpoint_steps: int
    threads: int
    augment: Strength

    @property
    def steps(self) -> int:
        """All steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as JSON values."""
        return asdict(self)


def _checked(kind: type, value: object, where: str, *, complete: bool = True) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: a mapping is expected")
    names = {field.name for field in fields(kind)}
    for key in value:
        if key not in names:
            raise ConfigError(f"{where}.{key}: unknown key")
    for key in names - set(value) if complete else ():
        raise ConfigError(f"{where}.{key}: missing")
    return dict(value)


_COUNTS = ("patients", "unseen_patients", "reestimate_clips", "checkpoint_steps", "threads")
_SHARES = ("unsatisfactory", "learning_rate", "weight_decay", "warmup", "ema", "dropout", "kind_loss")


def _usable(recipe: Recipe) -> Recipe:
    """The recipe, if its figures can be; a bad one would show only after the cohort was rendered."""
    counts = {name: getattr(recipe, name) for name in _COUNTS}
    counts |= {f"phases[{i}].{k}": v for i, phase in enumerate(recipe.phases) for k, v in asdict(phase).items()}
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{name}: a whole number of at least 1 is expected")
    for name, value in {**{n: getattr(recipe, n) for n in _SHARES}, **asdict(recipe.augment)}.items():
        if not is_finite(value) or value < 0:
            raise ConfigError(f"{name}: a number of at least 0 is expected")
    if recipe.model not in zoo.ARCHITECTURES:
        raise ConfigError(f"model: one of {', '.join(zoo.ARCHITECTURES)} is expected")
    registry.check_name(recipe.name, recipe.version)
    return recipe


def load(path: Path) -> Recipe:
    """The recipe of a YAML file; an unknown or missing key, or an unusable figure, raises ConfigError with its path."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not YAML ({type(error).__name__})") from error
    raw = _checked(Recipe, found, path.name)
    raw["spec"] = FrameSpec.from_json(_checked(FrameSpec, raw["spec"], "spec", complete=False))
    raw["augment"] = Strength(**_checked(Strength, raw["augment"], "augment", complete=False))
    raw["phases"] = tuple(Phase(**_checked(Phase, phase, f"phases[{i}]")) for i, phase in enumerate(raw["phases"]))
    return _usable(Recipe(**raw))
