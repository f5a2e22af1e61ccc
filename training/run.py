"""A run folder: resolved recipe, environment, split digests, log, weights, predictions and metrics of one seed."""

import json
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from dicomqc.phantom import cohort
from dicomqc.phantom.plan import CinePlan
from training.data import cines, splits
from training.data.cines import Clips
from training.data.splits import Split
from training.recipe import Recipe, load

WEIGHTS: Final = "weights.safetensors"
METRICS: Final = "metrics.json"
PREDICTIONS: Final = "predictions.csv"
_RECIPE: Final = "recipe.yaml"
_FACTS: Final = "run.json"
_UNSEEN_SEED_STEP: Final = 500_000_003
_PACKAGES: Final = ("torch", "numpy", "opencv-python-headless", "pytorchvideo", "pydicom")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run on disk."""

    folder: Path
    recipe: Recipe
    seed: int

    @property
    def unseen_seed(self) -> int:
        """The seed of the cohort that training never sees; its patients share nothing with the training cohort's."""
        return self.seed + _UNSEEN_SEED_STEP

    def clips(self, workers: int, say: Say) -> Clips:
        """The training cohort's clips, rendered on first use."""
        return self._cached("training", self.seed, self.recipe.patients, workers, say)

    def unseen(self, workers: int, say: Say) -> Clips:
        """The unseen cohort's clips, rendered on first use."""
        return self._cached("unseen", self.unseen_seed, self.recipe.unseen_patients, workers, say)

    def split(self, clips: Clips) -> Split:
        """The patient-level split of the training cohort."""
        return splits.by_patient(clips.patients, self.seed)

    def _cached(self, name: str, seed: int, patients: int, workers: int, say: Say) -> Clips:
        plans: tuple[CinePlan, ...] = cohort.plan(seed, patients, unsatisfactory=self.recipe.unsatisfactory)
        path = self.folder / "cache" / f"{name}.npy"

        def progress(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                say(f"{name}: {done} of {total} clips rendered")

        return cines.cache(plans, self.recipe.spec, path, margin=self.recipe.margin, workers=workers, progress=progress)


def create(folder: Path, recipe: Path, seed: int) -> Run:
    """Open `folder` for a run of `recipe`; a folder of another recipe or seed is refused by name, not overwritten."""
    text = recipe.read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / _RECIPE
    if kept.exists():
        run = reopen(folder)
        if kept.read_text(encoding="utf-8") != text or run.seed != seed:
            raise FileExistsError(f"{folder} holds a run of another recipe or seed; choose another --run")
        return run
    load(recipe)
    kept.write_text(text, encoding="utf-8")
    facts = {"seed": seed, "environment": environment()}
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return reopen(folder)


def reopen(folder: Path) -> Run:
    """A run that `create` began."""
    seed = int(json.loads((folder / _FACTS).read_text(encoding="utf-8"))["seed"])
    return Run(folder=folder, recipe=load(folder / _RECIPE), seed=seed)


def record_split(run: Run, clips: Clips, split: Split) -> None:
    """Write how many clips and patients each part has, and its digest."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    facts = {
        name: {
            "clips": len(indices),
            "patients": len({clips.patients[i] for i in indices}),
            "unsatisfactory": int(sum(clips.labels[i] for i in indices)),
            "sha256": splits.digest(clips.patients, indices),
        }
        for name, indices in parts.items()
    }
    (run.folder / "splits.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def environment() -> dict[str, str]:
    """The software that a run's figures depend on."""
    found = {name: _version(name) for name in ("dicomqc", *_PACKAGES)}
    return {"python": sys.version.split()[0], "machine": platform.machine(), **found}
