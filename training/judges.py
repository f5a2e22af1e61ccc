"""Who judges a stream: a run's trained network or a published version in the node's engine, with what was frozen for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Mode
from dicomqc.models import registry as published
from dicomqc.phantom.plan import CinePlan
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.engine import open_scorer
from dicomqc.settings import Settings
from training import files, loop, predictions
from training import run as runs
from training.bootstrap import Values
from training.data import manifest
from training.data.headers import hashed
from training.evaluate import trained
from training.run import METRICS, PREDICTIONS, WEIGHTS, Run

_FROZEN: Final = ("threshold", "threshold_specificity_95", "temperature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """`logits` of grey frames uint8 [N,T,S,S], at most `batch` of them; `frozen`: thresholds and temperature.

    `twins` and `unsatisfactory` are those of the recipe. `seeds` are of simulated cohorts that it was fitted or evaluated on,
    `patients` hashes of those of other cines.
    """

    name: str
    weights_sha256: str
    spec: FrameSpec
    logits: Callable[[NDArray[np.uint8]], Values]
    frozen: Mapping[str, float]
    twins: float
    unsatisfactory: float
    seeds: frozenset[int]
    patients: frozenset[str] = frozenset()
    batch: int = loop.BATCH

    def refuse_seed(self, seed: int) -> None:
        """Raise ConfigError where these weights were fitted or evaluated on the simulated cohort of `seed`."""
        if seed in self.seeds:
            raise ConfigError(f"stream: {self.name} was fitted or evaluated on the cohort of seed {seed}; take another")

    def refuse_known(self, plans: tuple[CinePlan, ...]) -> None:
        """Raise ConfigError where a cine is of a patient that these weights were fitted or evaluated on."""
        for seed in sorted({plan.seed for plan in plans}):
            self.refuse_seed(seed)
        shared = {hashed(plan.patient_id) for plan in plans} & self.patients
        if shared:
            raise ConfigError(f"stream: {len(shared)} patients are among those that {self.name} was fitted or evaluated on")


def of_run(run: Run, device: torch.device, registry: Path) -> Judge:
    """The trained network of an evaluated run. Raises ConfigError where it is not trained or not evaluated yet."""
    model = trained(run).to(device)
    if not (run.folder / METRICS).exists():
        raise ConfigError(f"{run.folder}: not evaluated yet; `evaluate` it first")
    found = files.read_json(run.folder / METRICS)
    return Judge(
        name=f"{run.recipe.name}, seed {run.seed}",
        weights_sha256=published.sha256(run.folder / WEIGHTS),
        spec=run.recipe.spec,
        logits=lambda frames: loop.logits(run.recipe, model, frames, device),
        frozen=_frozen(found),
        twins=run.recipe.twins,
        unsatisfactory=run.recipe.unsatisfactory,
        seeds=_known_seeds(run, registry),
        patients=_known_patients(run),
    )


def of_version(reference: str, registry: Path, device: str) -> Judge:
    """A published version in the engine that the node would take, with its card's thresholds. Raises ConfigError."""
    published.resolve(reference, registry, asked_by="weights")
    options = replace(
        Settings().score_options(), model=reference, registry=registry, device=device, mode=Mode.OBSERVE, precision="fp32"
    )
    loaded = open_scorer(options)
    card, scorer = loaded.version.card, loaded.scorer
    recipe = card.training.get("recipe", {})
    if "unsatisfactory" not in recipe:
        raise ConfigError(f"stream: the card of {reference} names no recipe, and so no cohort")
    return Judge(
        name=reference,
        weights_sha256=card.weights_sha256,
        spec=card.spec,
        logits=lambda frames: np.array([one.logit for one in scorer.score(frames)]),
        frozen={**_frozen(card.metrics), "threshold": card.threshold},
        # Recipes before the first twins had none.
        twins=float(recipe.get("twins", 0.0)),
        unsatisfactory=float(recipe["unsatisfactory"]),
        seeds=frozenset(runs.known_seeds(reference, registry)),
        batch=min(loop.BATCH, scorer.max_clips),
    )


def _frozen(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(found[name]) for name in _FROZEN if name in found}


def _known_seeds(run: Run, registry: Path) -> frozenset[int]:
    root, since = runs.ancestry(run)
    simulated = [one for one in (run, *since) if one.manifest is None]
    return frozenset(runs.known_seeds(root, registry)).union(*({one.seed, one.unseen_seed} for one in simulated))


def _known_patients(run: Run) -> frozenset[str]:
    """The hashed patients of a run and of those that it began from, as far as they are on manifests."""
    return frozenset[str]().union(*(_patients(one) for one in (run, *runs.ancestry(run)[1])))


def _patients(run: Run) -> set[str]:
    """The hashed patients of a run on a manifest, as far as manifest and predictions name them."""
    if run.manifest is None:
        return set()
    known = {entry.patient for entry in manifest.read(run.manifest)}
    if (run.folder / PREDICTIONS).exists():
        for part in predictions.read(run.folder / PREDICTIONS).values():
            known |= set(part.patients)
    return known - {""}
