"""The recipe: everything that decides a run, read from YAML; unknown keys are refused.

A file may name another as its `base`, whose values hold where it has none.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry, zoo
from dicomqc.phantom import presets, sight
from dicomqc.sample.spec import FrameSpec, is_finite
from training.augment import Strength
from training.data.splits import SHARES
from training.precision import WANTED, Wanted

SCHEDULES: Final = ("carry", "paper")
_BASES: Final = 4
_STRENGTH: Final = Strength()


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Batches of `batch` clips of `frames` frames of `size` pixels square: so many `steps`, or so many `epochs`."""

    frames: int
    size: int
    batch: int
    steps: int = 0
    epochs: int = 0

    def steps_of(self, clips: int) -> int:
        """The batches of this phase over a training part of `clips` clips; an epoch's last batch begins the next epoch."""
        return self.steps or self.epochs * max(round(clips / self.batch), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run; without `phases` nothing is trained. `cohort` to `twins` are of the simulated cohorts, without a manifest.

    `cohort` names a preset of `dicomqc.phantom` ("": none), whose numbers then hold instead of `patients` and `unsatisfactory`.
    `twins` above 0: that share of the cines comes in pairs that differ in one cause, and both labels are meant equally often.
    `shares` of the patients train, validate and test; at most `train_clips` clips of the training part are trained on (0: all),
    the same ones for every model. `schedule` carry: AdamW, the rate rises over `warmup` of all steps and falls by a cosine,
    over `rate_steps` instead of all steps where it is given. `paper`: Adam, the rate falls by `gamma` every `step_epochs`
    epochs. `ema` is the averaged weights' decay per step (0: none). `kind_loss` weighs the second lesson,
    which kind a clip is, `sight_loss` a third, the share of the tree that is seen, `frame_loss` the same of every frame (both
    of simulated clips only). `blank` is the share of training clips that featureless ones replace, `replay` the share that is
    looped, held or played backwards.
    `sway` is the share of all that is moved as one picture (a fifth of it under noise alone), as replays that are held always
    are. `again`: of the second ones of every two clips of a batch this share, and all that follow a held picture, are another
    look at the clip before, augmented otherwise, of which `again_held` (of those at a clip as it is) hold a frame of it that
    shows its label clearly; `again_loss` weighs the squared difference of their logits, `again_relative` the same over their
    mean square.
    `blend` is the share of the weights that the run began from in its result, with batch norm re-estimated. `calibrate` divides
    the result's logits by the temperature that validation gives. The first `frozen` blocks keep the weights that it began from.
    Every `validate_epochs` epochs (0: never) the network is scored on validation, and the best by AUC is kept. `micro_batch`
    clips at most are on the device at once (0: the batch). `precision` fp32 forbids mixed precision, which auto takes where the
    hardware has it. `shuffled`: the labels are while it is fitted, validation's too, a check: its AUC must be a half.
    """

    name: str
    version: str
    model: str
    spec: FrameSpec
    phases: tuple[Phase, ...]
    learning_rate: float
    weight_decay: float
    cohort: str = ""
    patients: int = 260
    unseen_patients: int = 60
    unsatisfactory: float = 0.45
    twins: float = 0.0
    shares: tuple[float, ...] = SHARES
    train_clips: int = 0
    schedule: Literal["carry", "paper"] = "carry"
    warmup: float = 0.0
    step_epochs: int = 30
    gamma: float = 0.1
    ema: float = 0.0
    dropout: float = 0.0
    kind_loss: float = 0.0
    sight_loss: float = 0.0
    frame_loss: float = 0.0
    blank: float = 0.0
    replay: float = 0.0
    sway: float = 0.0
    again: float = 0.0
    again_loss: float = 0.0
    again_relative: float = 0.0
    again_held: float = 0.0
    blend: float = 0.0
    calibrate: bool = False
    rate_steps: int = 0
    frozen: int = 0
    reestimate_clips: int = 0
    validate_epochs: int = 0
    micro_batch: int = 0
    precision: Wanted = "auto"
    shuffled: bool = False
    margin: int = 1
    checkpoint_steps: int = 50
    threads: int = 2
    augment: Strength = _STRENGTH

    def steps(self, clips: int) -> int:
        """All steps of all phases over a training part of `clips` clips."""
        return sum(phase.steps_of(clips) for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def _checked(kind: type, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: a mapping is expected")
    names = {field.name: field for field in fields(kind)}
    for key in value:
        if key not in names:
            raise ConfigError(f"{where}.{key}: unknown key")
    for name, field in names.items():
        if name not in value and field.default is MISSING:
            raise ConfigError(f"{where}.{name}: missing")
    return dict(value)


_AT_LEAST_ONE: Final = ("patients", "unseen_patients", "step_epochs", "checkpoint_steps", "threads")
_AT_LEAST_NONE: Final = ("train_clips", "reestimate_clips", "validate_epochs", "micro_batch", "margin", "rate_steps", "frozen")
_NUMBERS: Final = (
    "unsatisfactory",
    "twins",
    "learning_rate",
    "weight_decay",
    "warmup",
    "gamma",
    "ema",
    "dropout",
    "blank",
    "replay",
    "sway",
    "again",
    "again_held",
    "blend",
)
NORM_CLIPS: Final = 8
_REPLAYED: Final = (4, 8, 16)
_X3D_BLOCKS: Final = 6
_LESSONS: Final = ("kind_loss", "sight_loss", "frame_loss", "again_loss", "again_relative")
_TELLING: Final = ("blank", "replay", "kind_loss", "sight_loss", "frame_loss", "again_held")
_SHARES_OF_CLIPS: Final = ("flip", "blur", "local", "texture")
_BELOW_ONE: Final = ("twins", "warmup", "ema", "dropout", "blank", "replay", "sway", "again", "again_held", "blend")


def _usable(recipe: Recipe) -> Recipe:
    """The recipe, if its figures can be; a bad one would show only after the cohort was rendered."""
    least = dict.fromkeys(_AT_LEAST_ONE, 1) | dict.fromkeys(_AT_LEAST_NONE, 0)
    counts = {name: (getattr(recipe, name), lowest) for name, lowest in least.items()}
    for i, phase in enumerate(recipe.phases):
        counts |= {f"phases[{i}].{k}": (v, 0 if k in {"steps", "epochs"} else 1) for k, v in asdict(phase).items()}
    for name, (value, lowest) in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise ConfigError(f"{name}: a whole number of at least {lowest} is expected")
    for name, value in {**{n: getattr(recipe, n) for n in (*_NUMBERS, *_LESSONS)}, **asdict(recipe.augment)}.items():
        limit = " and below 1" if name in _BELOW_ONE else " and at most 1" if name in _SHARES_OF_CLIPS else ""
        if not is_finite(value) or value < 0 or (limit and value > 1) or (name in _BELOW_ONE and value >= 1):
            raise ConfigError(f"{name}: a number of at least 0{limit} is expected")
    for name in ("calibrate", "shuffled"):
        if not isinstance(getattr(recipe, name), bool):
            raise ConfigError(f"{name}: true or false is expected")
    _fitting(recipe)
    registry.check_name(recipe.name, recipe.version)
    return recipe


def _are_shares(values: object) -> bool:
    if not isinstance(values, tuple) or len(values) != len(SHARES):
        return False
    return all(is_finite(one) and one > 0 for one in values) and math.isclose(sum(values), 1.0, abs_tol=1e-6)


def _fitting(recipe: Recipe) -> None:
    """What must fit together."""
    choices = {"model": tuple(zoo.ARCHITECTURES), "schedule": SCHEDULES, "cohort": ("", *presets.NAMES), "precision": WANTED}
    for name, known in choices.items():
        if getattr(recipe, name) not in known:
            raise ConfigError(f"{name}: one of {', '.join(one for one in known if one)} is expected")
    if not _are_shares(recipe.shares):
        raise ConfigError(f"shares: {len(SHARES)} numbers above 0 are expected, 1 in sum")
    frames = len(recipe.spec.frame_numbers())
    for i, phase in enumerate(recipe.phases):
        if bool(phase.steps) == bool(phase.epochs):
            raise ConfigError(f"phases[{i}]: steps or epochs is expected, and one of them only")
        if phase.frames > frames:
            raise ConfigError(f"phases[{i}].frames: the spec has {frames}")
    _begins(recipe)
    _mixable(recipe)
    _paired(recipe)
    _sighted(recipe)


def _begins(recipe: Recipe) -> None:
    """What can be kept of the first weights, and what shuffled labels may not stand beside."""
    if recipe.frozen and not (recipe.model.startswith("x3d") and recipe.frozen < _X3D_BLOCKS):
        raise ConfigError(
            f"frozen: at most {_X3D_BLOCKS - 1} of the {_X3D_BLOCKS} blocks of an X3D can be kept, none of other models"
        )
    if recipe.shuffled and any(getattr(recipe, name) for name in _TELLING):
        raise ConfigError(f"shuffled: {', '.join(_TELLING)} tell the label in other ways; each must be 0")


def _paired(recipe: Recipe) -> None:
    """What second looks need."""
    for name in ("again_loss", "again_relative", "again_held"):
        if getattr(recipe, name) and not recipe.again:
            raise ConfigError(f"{name}: again is needed, or no clip is looked at twice")
    sizes = {f"phases[{i}].batch": phase.batch for i, phase in enumerate(recipe.phases)} | {"micro_batch": recipe.micro_batch}
    for name, size in sizes.items():
        if recipe.again and size % 2:
            raise ConfigError(f"{name}: again wants an even number, so that two looks at one clip stay together")


def _mixable(recipe: Recipe) -> None:
    """What averages and small batches need."""
    for name in ("blend", "ema"):
        if getattr(recipe, name) and not recipe.reestimate_clips:
            raise ConfigError(
                f"{name}: reestimate_clips is needed, since a mean of weights has no batch norm statistics of its own"
            )
    if 0 < recipe.micro_batch < NORM_CLIPS and not recipe.reestimate_clips:
        raise ConfigError(f"micro_batch: batch norm wants {NORM_CLIPS} clips at least, or reestimate_clips")


def _sighted(recipe: Recipe) -> None:
    """What those lessons and replays need that ask what is seen in single frames."""
    if recipe.frame_loss and not (recipe.sight_loss and recipe.model.startswith("x3d")):
        raise ConfigError("frame_loss: an X3D and a sight_loss are needed, whose output is asked of every frame")
    for name in ("replay", "frame_loss", "again_held"):
        if getattr(recipe, name) and recipe.spec.frame_numbers() != sight.SAMPLED:
            known = ", ".join(map(str, sight.SAMPLED))
            raise ConfigError(f"{name}: the spec must have the frames {known}, of which it is known what is seen")
    for i, phase in enumerate(recipe.phases):
        if recipe.replay and phase.frames not in _REPLAYED:
            raise ConfigError(f"phases[{i}].frames: with replay one of {', '.join(map(str, _REPLAYED))} is expected")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    nested = {k: _merged(base[k], v) for k, v in over.items() if isinstance(v, Mapping) and isinstance(base.get(k), Mapping)}
    return {**base, **over, **nested}


def _values(path: Path, depth: int = 0) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not YAML ({type(error).__name__})") from error
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path.name}: a mapping is expected")
    if "base" not in found:
        return dict(found)
    if depth >= _BASES:
        raise ConfigError(f"{path.name}: bases are nested deeper than {_BASES}")
    own = {key: value for key, value in found.items() if key != "base"}
    return _merged(_values(path.parent / str(found["base"]), depth + 1), own)


def load(path: Path) -> Recipe:
    """The recipe of a YAML file; an unknown or missing key, or an unusable figure, raises ConfigError with its path."""
    raw = _checked(Recipe, _values(path), path.name)
    raw["spec"] = FrameSpec.from_json(_checked(FrameSpec, raw["spec"], "spec"))
    raw["augment"] = Strength(**_checked(Strength, raw.get("augment", {}), "augment"))
    if not isinstance(raw["phases"], list):
        raise ConfigError("phases: a list is expected; with [] nothing is trained")
    raw["phases"] = tuple(Phase(**_checked(Phase, phase, f"phases[{i}]")) for i, phase in enumerate(raw["phases"]))
    if isinstance(raw.get("shares"), list):
        raw["shares"] = tuple(raw["shares"])
    return _usable(Recipe(**raw))


def write(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe, without a base."""
    path.write_text(yaml.safe_dump(recipe.to_json(), sort_keys=False), encoding="utf-8")
