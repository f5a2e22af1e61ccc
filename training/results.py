"""What a run folder says after `evaluate`: read back for tables and figures, without weights, cines or a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomqc.core.errors import ConfigError
from dicomqc.models import zoo
from training import files, paper, predictions
from training.predictions import Predictions
from training.recipe import Recipe
from training.run import DIGEST, DIGEST_OF, DIGESTED, EXAMPLES, FIT, METRICS, PREDICTIONS, SANITY, SPLITS, TABLE_1, reopen

INDEPENDENT: Final = ("independent", "unseen")
_FEWEST_PASSES: Final = 10  # ours: a run of one pass says nothing of its model
_PLANNED_SEEDS: Final = {"x3d_s": 3, "resnet18_3d": 3}  # ours: what deploy/comparison.sh fits more than once
_ASSUMED_RATES: Final = {"x3d_s": 1e-4}  # ours where the paper tells none: docs/results/assumptions.md
_PLANNED_UNSEEN: Final = 440  # ours: the patients of config/training/base.yaml
_NOT_THE_PAPERS: Final = (
    "replay",
    "sway",
    "again",
    "again_held",
    "blank",
    "kind_loss",
    "sight_loss",
    "frame_loss",
    "ema",
    "frozen",
    "blend",
    "calibrate",
    "shuffled",
)
_NOT_ITS_CHANGES: Final = (
    "clutter",
    "local",
    "texture",
    "noise",
    "scale",
    "translate",
    "log_gamma",
    "log_contrast",
    "brightness",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One evaluated run; `seed` is the one that it was fitted with."""

    folder: Path
    recipe: Recipe
    seed: int
    metrics: Mapping[str, Any]
    parts: Mapping[str, Predictions]
    fit: Mapping[str, Any]
    splits: Mapping[str, Any]
    table1: Mapping[str, Any] | None
    sanity: Mapping[str, Any] | None
    simulated: bool
    init: str = ""
    without_kind: str = ""
    without_vendor: str = ""

    @property
    def trained(self) -> bool:
        """Whether anything was trained here; else the weights are those of `init`, as they were."""
        return bool(self.recipe.phases)

    @property
    def origin(self) -> str:
        """What `init` names, without the folder of a run."""
        return Path(self.init).name

    @property
    def name(self) -> str:
        """What the runs share that differ in nothing but the seed: the recipe's name, and the start where there is one."""
        less = "".join(f" {one}" for one in _left_out(self))
        return f"{self.recipe.name} from {self.init}{less}" if self.init else f"{self.recipe.name}{less}"

    @property
    def network(self) -> str:
        """The network's name for people."""
        return paper.MODELS.get(self.recipe.model, self.recipe.model)

    @property
    def model(self) -> str:
        """The row's title: the network, and whose weights it has where they were not trained here."""
        as_is = "as published" if "@" in self.origin else "as it was"
        return self.network if self.trained else f"{self.network} ({self.origin} {as_is})"

    @property
    def drawn(self) -> str:
        """How many clips of the training part were trained on, such as "240 of 726"; nothing where it was all of them."""
        part, taught = self.splits.get("train", {}).get("clips", 0), self.fit.get("train_clips", 0)
        return f"{taught:,} of {part:,}" if taught < part else ""

    @property
    def converged(self) -> bool:
        """Whether it saw its clips often enough that its figures may say something of its model; published weights did."""
        return not self.trained or self.fit.get("epochs", 0) >= _FEWEST_PASSES

    @property
    def independent(self) -> str | None:
        """The name of the part that is not of the run's own cohort, if it has one."""
        return next((name for name in INDEPENDENT if name in self.parts), None)

    def digest(self, part: str) -> str:
        """The digest of a part's clips with their pixels; empty where the run does not tell, or not what it is of."""
        split = self.splits.get(part, {})
        told = split[DIGEST] if split.get(DIGEST_OF) == DIGESTED else self.metrics.get(f"{part}_{DIGEST}", "")
        return str(told)

    @property
    def examples(self) -> Path:
        """The clips of Figure 2."""
        return self.folder / EXAMPLES


def read(folder: Path) -> Result:
    """The results of a run folder. Raises ConfigError where it is not evaluated."""
    run = reopen(folder)
    if not (folder / METRICS).exists() or not (folder / PREDICTIONS).exists():
        raise ConfigError(f"{folder}: not evaluated yet; `evaluate` it first")
    return Result(
        folder=folder,
        recipe=run.recipe,
        seed=run.fit_seed,
        metrics=_json(folder / METRICS) or {},
        parts=predictions.read(folder / PREDICTIONS),
        fit=_json(folder / FIT) or {},
        splits=_json(folder / SPLITS) or {},
        table1=_json(folder / TABLE_1),
        sanity=_json(folder / SANITY),
        simulated=run.manifest is None,
        init=run.init,
        without_kind=run.without_kind,
        without_vendor=run.without_vendor,
    )


def _json(path: Path) -> dict[str, Any] | None:
    return files.read_json(path) if path.exists() else None


def cuts(result: Result, seeds: int = 0) -> list[str]:
    """What a run has less of, or otherwise, than the paper's recipe and our plan of the comparison.

    `seeds`: of how many seeds it is one in a comparison of the paper's models; 0 where there is no such comparison.
    Empty for the full one, and for weights that were not trained here.
    """
    if not result.trained:
        return []
    recipe, found = result.recipe, _left_out(result)
    expected = paper.RECIPES.get(recipe.model)
    if expected is None:
        return [f"{result.model}: {', '.join(['no model of the paper', *_left_out(result)])}"]
    if (recipe.schedule, recipe.step_epochs) != ("paper", paper.STEP_EPOCHS):
        found.append("another schedule than the paper's")
    rate, decay, batch = expected
    rate = _ASSUMED_RATES[recipe.model] if rate is None else rate
    if (recipe.learning_rate, recipe.weight_decay) != (rate, decay):
        found.append(f"learning rate {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}")
    if any(phase.batch != batch for phase in recipe.phases):
        found.append(f"batches of {', '.join(str(phase.batch) for phase in recipe.phases)} instead of {batch}")
    whole = zoo.ARCHITECTURES[recipe.model].spec
    seen = len(whole.frame_numbers()), whole.size
    if recipe.spec != whole or any((phase.frames, phase.size) != seen for phase in recipe.phases):
        found.append("other frames or sizes than the paper's")
    found += [*_taught_otherwise(recipe), *_less_taught(result), *_less_than_planned(result, seeds)]
    return [f"{result.model}: {', '.join(found)}"] if found else []


def _taught_otherwise(recipe: Recipe) -> list[str]:
    """Lessons and made clips that the paper's recipes have not, and a choice among the epochs that they have."""
    more = [f"{key} {value:g}" for key in _NOT_THE_PAPERS if (value := getattr(recipe, key))]
    more += [f"augment {key} {value:g}" for key in _NOT_ITS_CHANGES if (value := getattr(recipe.augment, key))]
    return more if recipe.validate_epochs else [*more, "no best epoch by validation is kept"]


def _less_taught(result: Result) -> list[str]:
    """Fewer passes over fewer clips than the paper's, or other first weights."""
    found = []
    epochs = result.fit.get("epochs", 0)
    if epochs <= paper.EPOCHS:
        found.append(f"{epochs:g} epoch{'' if epochs == 1 else 's'} instead of more than {paper.EPOCHS}")
    clips = result.fit.get("cohort_clips", 0)
    if clips < paper.CLIPS:
        found.append(f"{clips} clips instead of {paper.CLIPS:,}")
    if result.drawn:
        found.append(f"{result.drawn} training clips")
    if result.init:
        found.append(f"begun at {result.origin} instead of fresh weights")
    return found


def _less_than_planned(result: Result, seeds: int) -> list[str]:
    """Fewer seeds, or fewer patients of the unseen cohort, than the comparison is planned with."""
    found = []
    if 0 < seeds < (planned := _PLANNED_SEEDS.get(result.recipe.model, 1)):
        found.append(f"{seeds} seed{'' if seeds == 1 else 's'} instead of the plan's {planned}")
    unseen = result.recipe.unseen_patients
    if "unseen" in result.parts and unseen < _PLANNED_UNSEEN:
        found.append(f"{unseen} unseen patient{'' if unseen == 1 else 's'} instead of the plan's {_PLANNED_UNSEEN}")
    return found


def _left_out(result: Result) -> list[str]:
    less = (result.without_kind, result.without_vendor and f"vendor {result.without_vendor}")
    return [f"trained without {one}" for one in less if one]
