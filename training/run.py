"""A run folder: resolved recipe, manifest, environment, split digests, log, weights, predictions and metrics of one seed."""

import csv
import hashlib
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry as published
from dicomqc.models.card import Card
from dicomqc.phantom import presets
from dicomqc.phantom.plan import CinePlan
from training import files
from training import recipe as recipes
from training.data import manifest, sources, splits, table1
from training.data.cines import Clips
from training.data.manifest import Label, LeftOut
from training.data.splits import Split
from training.progress import Say, counting
from training.recipe import Recipe, load

WEIGHTS: Final = "weights.safetensors"
METRICS: Final = "metrics.json"
PREDICTIONS: Final = "predictions.csv"
EXAMPLES: Final = "examples.npz"
SANITY: Final = "sanity.json"
TABLE_1: Final = "table1.json"
FIT: Final = "fit.json"
SPLITS: Final = "splits.json"
MANIFEST: Final = "manifest.csv"
LEFT_OUT: Final = {"cohort": "left_out.csv", "independent": "left_out_independent.csv"}
RECIPE: Final = "recipe.yaml"
FACTS: Final = "run.json"
DIGEST: Final = "sha256"
DIGEST_OF: Final = "sha256_of"
DIGESTED: Final = "clips, patients, labels, pixels"
KINETICS_SUFFIX: Final = ".pyth"
# A comparison asks twice for every model, and settling labels takes minutes.
_PLANNED: Final[dict[tuple[str, int], tuple[CinePlan, ...]]] = {}
_UNSEEN_SEED_STEP: Final = 500_000_003
_PACKAGES: Final = ("torch", "numpy", "opencv-python-headless", "pytorchvideo", "pydicom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run on disk: `seed` is of its cohort and split, `fit_seed` of its weights and the order of clips.

    `init` names the published weights, or the run, that it starts from. `without_kind` and `without_vendor` are kinds, with
    commas between them, and a maker of machines that are left out of training and validation.
    """

    folder: Path
    recipe: Recipe
    seed: int
    fit_seed: int
    init: str = ""
    without_kind: str = ""
    without_vendor: str = ""

    @property
    def manifest(self) -> Path | None:
        """The run's own copy of its manifest; null for simulated cohorts."""
        path = self.folder / MANIFEST
        return path if path.exists() else None

    @property
    def unseen_seed(self) -> int:
        """The seed of the cohort that training never sees; its patients share nothing with the training cohort's."""
        return self.seed + _UNSEEN_SEED_STEP

    @property
    def cache(self) -> Path:
        """Beside the run, so that runs over the same cines share it."""
        return self.folder.parent / "cache"

    def clips(self, workers: int, say: Say) -> Clips:
        """The cohort's clips, read or rendered on first use."""
        if self.manifest is not None:
            return self.read(self.manifest, "cohort", workers, say)
        plans = self._planned("training", self.seed, self.recipe.patients, workers, say)
        return self._simulated("training", plans, workers, say)

    def unseen(self, workers: int, say: Say) -> Clips:
        """The unseen simulated cohort's clips, rendered on first use."""
        plans = self._planned("unseen", self.unseen_seed, self.recipe.unseen_patients, workers, say)
        return self._simulated("unseen", plans, workers, say)

    def plans(self, workers: int, say: Say) -> dict[str, CinePlan]:
        """The plans of the simulated training cohort by the clips' ids; none where the run is on a manifest."""
        if self.manifest is not None:
            return {}
        return {
            plan.sop_instance_uid: plan for plan in self._planned("training", self.seed, self.recipe.patients, workers, say)
        }

    def split(self, clips: Clips) -> Split:
        """The patient-level split of the cohort. Raises ConfigError where it is not the one that was recorded."""
        made = splits.split(clips, self.seed, self.recipe.shares)
        if (self.folder / SPLITS).exists():
            kept = files.read_json(self.folder / SPLITS)
            changed = [n for n, part in made.parts().items() if kept[n][DIGEST] != splits.digest(clips, part)]
            # Another code or a file that went missing: what was trained on must not become a test.
            if changed:
                raise ConfigError(f"{self.folder}: {' and '.join(changed)} are not the clips that this run began with")
        return made

    def read(self, path: Path, name: str, workers: int, say: Say) -> Clips:
        """The clips of a manifest's cines, called cohort or independent; says, and writes to LEFT_OUT, what cannot be used."""
        admitted = manifest.admit(path, manifest.read(path), self.recipe.spec)
        if admitted.studies_as_patients:
            say(f"{name}: {admitted.studies_as_patients} cines name no patient; their study stands for the patient")
        with counting("clips read", say, name) as progress:
            clips = sources.from_files(
                admitted.entries, self.recipe.spec, self.cache, margin=self.recipe.margin, workers=workers, progress=progress
            )
        damaged = [
            LeftOut(path=entry.path, line=entry.line, reason=reason, detail="found while decoding")
            for entry, reason in ((admitted.entries[place], reason) for place, reason in clips.refused)
        ]
        self._left_out(name, [*admitted.left_out, *damaged], say)
        kept = sorted(set(range(len(admitted.entries))) - dict(clips.refused).keys())
        entries, persons = [admitted.entries[place] for place in kept], [admitted.persons[place] for place in kept]
        manifest.check_pictures(path, entries, clips.pixels)
        if name == "cohort":
            table = table1.table([entry.label for entry in entries], [entry.patient for entry in entries], persons)
            files.write_json(self.folder / TABLE_1, table)
        return clips

    def _left_out(self, name: str, left_out: list[LeftOut], say: Say) -> None:
        if left_out:
            say(f"{name}: left out {len(left_out)} cines ({manifest.summary(left_out)}); see {LEFT_OUT[name]}")
        with (self.folder / LEFT_OUT[name]).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, ("path", "line", "reason", "detail"))
            writer.writeheader()
            writer.writerows(asdict(one) for one in left_out)

    def _planned(self, name: str, seed: int, patients: int, workers: int, say: Say) -> tuple[CinePlan, ...]:
        if self.recipe.cohort and name == "training":
            # What the node refuses has no clip; from files it would be left out too.
            return tuple(plan for plan in preset(self.recipe.cohort, seed, workers, say, name) if plan.eligible)
        return sources.simulated(seed, patients, twins=self.recipe.twins, unsatisfactory=self.recipe.unsatisfactory)

    def _simulated(self, name: str, plans: Sequence[CinePlan], workers: int, say: Say) -> Clips:
        with counting("clips rendered", say, name) as progress:
            return sources.from_plans(
                plans, self.recipe.spec, self.cache, margin=self.recipe.margin, workers=workers, progress=progress
            )


def preset(cohort: str, seed: int, workers: int, say: Say, name: str = "") -> tuple[CinePlan, ...]:
    """The cines of the cohort `cohort` (one of `presets.NAMES`); its labels are counted for `name` as they are settled."""
    if (cohort, seed) not in _PLANNED:
        with counting("labels settled", say, name) as settled:
            _PLANNED[cohort, seed] = presets.planned(cohort, seed, workers, settled)
    return _PLANNED[cohort, seed]


def create(
    folder: Path,
    recipe: Path,
    seed: int,
    *,
    fit_seed: int | None = None,
    cines: Path | None = None,
    init: str = "",
    without_kind: str = "",
    without_vendor: str = "",
) -> Run:
    """Open `folder` for a run of `recipe`; a folder of another recipe, manifest or seed is refused, not overwritten.

    `fit_seed` is `seed` where it is not given. `cines` is a manifest; without one the recipe's simulated cohort is used.
    Raises ConfigError, FileExistsError.
    """
    wanted = load(recipe)
    if not init:
        _check_fresh(wanted)
    elif wanted.shuffled:
        raise ConfigError("shuffled: --init would bring weights that know the labels; the check begins at fresh ones")
    digest = "" if cines is None else hashlib.sha256(cines.read_bytes()).hexdigest()
    fit_seed = seed if fit_seed is None else fit_seed
    less = {"without_kind": without_kind, "without_vendor": without_vendor}
    facts = {"seed": seed, "fit_seed": fit_seed, "manifest_sha256": digest, "init": init, **less}
    if (folder / FACTS).exists():
        kept = files.read_json(folder / FACTS)
        # Folders from before a fact was told mean what was the only choice then.
        kept = {"fit_seed": kept["seed"], "without_vendor": "", **kept}
        if load(folder / RECIPE) != wanted or any(kept.get(name, "") != value for name, value in facts.items()):
            raise FileExistsError(f"{folder} holds a run of another recipe, manifest, start or seed; choose another --run")
        return reopen(folder)
    entries = None if cines is None else manifest.read(cines)
    folder.mkdir(parents=True, exist_ok=True)
    recipes.write(wanted, folder / RECIPE)
    if entries is not None:
        manifest.write(entries, folder / MANIFEST)
    # Last, so that a folder with it is whole.
    files.write_json(folder / FACTS, {**facts, "environment": environment()})
    return reopen(folder)


def _check_fresh(recipe: Recipe) -> None:
    """Raise ConfigError where the recipe cannot begin at fresh weights."""
    if not recipe.phases:
        raise ConfigError("phases: nothing would be trained, and no --init names weights that are taken as they are")
    if recipe.blend:
        raise ConfigError("blend: there is nothing to blend with; --init names the weights that the run begins from")
    if recipe.frozen:
        raise ConfigError("frozen: there is nothing to keep; --init names the weights that the run begins from")


def reopen(folder: Path) -> Run:
    """A run that `create` began. Raises ConfigError where there is none."""
    if not (folder / FACTS).is_file():
        raise ConfigError(f"{folder}: no run; `fit` begins one")
    facts = files.read_json(folder / FACTS)
    return Run(
        folder=folder,
        recipe=load(folder / RECIPE),
        seed=int(facts["seed"]),
        fit_seed=int(facts.get("fit_seed", facts["seed"])),
        init=facts.get("init", ""),
        without_kind=facts.get("without_kind", ""),
        without_vendor=facts.get("without_vendor", ""),
    )


def names_version(init: str) -> bool:
    """Whether `init` has the form of NAME@VERSION."""
    return "@" in init and "/" not in init


def ancestry(run: Run) -> tuple[str, list[Run]]:
    """Where a run's first weights come from: the published version or Kinetics file at the root ("": none), the runs since.

    The latest run comes first. Raises ConfigError where a start is none of them: nobody would know what it was fitted on.
    """
    since: list[Run] = []
    while run.init and (Path(run.init) / FACTS).is_file():
        run = reopen(Path(run.init))
        since.append(run)
    if run.init and not names_version(run.init) and Path(run.init).suffix != KINETICS_SUFFIX:
        raise ConfigError(
            f"{run.folder}: began at {run.init}, and no run is there; paths are relative to where `fit` was called"
        )
    return run.init, since


def _lineage(reference: str, registry: Path) -> Iterator[Card]:
    """The cards of published weights and of those that they began from."""
    while names_version(reference):
        card = published.card(reference, registry)
        yield card
        reference = str(card.training.get("init", ""))


def _simulated(card: Card) -> list[Mapping[str, Any]]:
    """The runs before the published one that were on simulated cines; the first cards told of no others."""
    return [one for one in card.training.get("earlier", ()) if one.get("simulated", True)]


def known_seeds(reference: str, registry: Path) -> set[int]:
    """The seeds of the simulated cohorts that published weights were fitted or evaluated on, and those that they began from."""
    found: set[int] = set()
    for card in _lineage(reference, registry):
        # Only simulated cohorts have an unseen one; the seed of others says nothing of patients.
        if "unseen_seed" in card.metrics:
            found |= {int(card.training["seed"]), int(card.metrics["unseen_seed"])}
        found |= {int(one[seed]) for one in _simulated(card) for seed in ("seed", "unseen_seed") if seed in one}
    return found


def fitted(reference: str, registry: Path) -> list[tuple[int, object]]:
    """The seeds of the simulated cohorts that published weights, and those that they began from, were fitted on; and the split.

    The split is what splits.json held; null where the card does not tell.
    """
    found: list[tuple[int, object]] = []
    for card in _lineage(reference, registry):
        if "unseen_seed" in card.metrics:
            found.append((int(card.training["seed"]), card.training.get("splits")))
        found += [(int(one["seed"]), None) for one in _simulated(card)]
    return found


def record_split(run: Run, clips: Clips, split: Split) -> None:
    """Write how many clips and patients each part has, its digest, and what that is of, which older files do not tell."""
    facts = {
        name: {
            "clips": len(indices),
            "patients": len({clips.patients[i] for i in indices}),
            "unsatisfactory": int(sum(clips.labels[i] for i in indices)),
            DIGEST: splits.digest(clips, indices),
            DIGEST_OF: DIGESTED,
        }
        for name, indices in split.parts().items()
    }
    files.write_json(run.folder / SPLITS, facts)


def record_table_1(run: Run, clips: Clips, workers: int, say: Say) -> None:
    """Write Table 1 of a simulated cohort; that of a manifest is written as its headers are read."""
    of = run.plans(workers, say)
    if of:
        labels = [Label.UNSATISFACTORY if label else Label.SATISFACTORY for label in clips.labels]
        persons = [sources.person(of[name]) for name in clips.ids]
        files.write_json(run.folder / TABLE_1, table1.table(labels, clips.patients, persons))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def environment() -> dict[str, str]:
    """The software that a run's figures depend on."""
    found = {name: _version(name) for name in ("dicomqc", *_PACKAGES)}
    return {"python": sys.version.split()[0], "machine": platform.machine(), **found}
