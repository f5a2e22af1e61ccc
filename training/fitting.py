"""One run from its clips to its weights: split, fit, and what fit.json says of how the weights came about."""

import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models import kinetics, weights, zoo
from dicomqc.models import registry as published
from training import allocator, checkpoint, distributed, files, loop, network, precision
from training import run as runs
from training.calibration import fit_temperature
from training.clock import NO_END, Clock
from training.data import splits
from training.data.cines import Clips
from training.data.splits import Split
from training.progress import Say
from training.recipe import NORM_CLIPS, Recipe
from training.run import DIGEST_OF, FIT, KINETICS_SUFFIX, SPLITS, WEIGHTS, Run
from training.sanity import relabelled


def fit(run: Run, workers: int, say: Say, *, device: torch.device, registry: Path, clock: Clock = NO_END) -> None:
    """Fit the run's network and write its weights, or do nothing where they are there.

    Raises ConfigError, `loop.Diverged`, and `Paused` where the clock is over before the end.
    """
    if (run.folder / WEIGHTS).exists():
        say(f"{run.folder} is trained already")
        return
    start = _checked_start(run, registry)
    clips = run.clips(workers, say)
    split = run.split(clips)
    _recorded(run, clips, split, workers, say)
    recipe, folder = run.recipe, run.folder
    train, validation = taught(run, clips, split) if recipe.phases else ((), ())
    began, resumed = time.monotonic(), (folder / checkpoint.CHECKPOINT).exists()
    if recipe.phases:
        _unknown(run, _fitted_otherwise(run, registry))
        say(
            f"training {recipe.model} on {len(train)} clips in {precision.name(device, recipe.precision)} on {device}, "
            f"{recipe.steps(len(train))} steps; log in {folder}/log.jsonl"
        )
        allocator.keep_freed(device)
        given = _labelled(run, clips)
        model = loop.fit(
            recipe, given, train, folder, run.fit_seed, say, validation=validation, start=start, device=device, clock=clock
        )
        temperature = _calibrated(recipe, model, clips, validation, device) if recipe.calibrate else None
    else:
        _unknown(run, _split_otherwise(run))
        say(f"nothing is trained: the weights of {run.init} are taken as they are")
        model, temperature = _as_it_is(recipe, start or {}), None
    if distributed.world().first:
        facts = {
            **_facts(recipe, len(train), len(clips.labels), device),
            "resumed": resumed,
            "seconds_of_last_process": round(time.monotonic() - began, 1),
            "logits_divided_by": temperature,
        }
        files.write_json(folder / FIT, facts)
        checkpoint.save_weights(model, folder / WEIGHTS)


def _labelled(run: Run, clips: Clips) -> Clips:
    """The clips with the labels that they are fitted on."""
    return relabelled(clips, run.fit_seed) if run.recipe.shuffled else clips


def _facts(recipe: Recipe, taught_clips: int, cohort_clips: int, device: torch.device) -> dict[str, Any]:
    """What fit.json says of how much was done, on what."""
    return {
        "steps": recipe.steps(taught_clips),
        "epochs": round(sum(p.steps_of(taught_clips) * p.batch for p in recipe.phases) / max(taught_clips, 1), 2),
        "train_clips": taught_clips,
        "cohort_clips": cohort_clips,
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": precision.name(device, recipe.precision),
        "processes": distributed.world().size,
    }


def _recorded(run: Run, clips: Clips, split: Split, workers: int, say: Say) -> None:
    if distributed.world().first:
        runs.record_split(run, clips, split)
        runs.record_table_1(run, clips, workers, say)
    distributed.wait()


def _calibrated(recipe: Recipe, model: nn.Module, clips: Clips, validation: Sequence[int], device: torch.device) -> float:
    """Put the temperature of the validation part into the network's weights, so that its P means what it says; returns it."""
    logits = loop.score(recipe, model, clips, validation, device=device)
    temperature = fit_temperature(clips.labels[list(validation)].astype(np.float64), logits)
    network.scale_logits(model, temperature)
    return temperature


def _as_it_is(recipe: Recipe, start: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network with the weights `start`, unchanged. Raises ConfigError where they are another network's."""
    model = network.build(recipe.model, 0.0)
    network.start_from(model, start)
    return model


def _unknown(run: Run, known: Set[int]) -> None:
    """Raise ConfigError where the first weights know the simulated patients of the run: `known` are seeds."""
    shared = {run.seed, run.unseen_seed} & known
    if shared and run.manifest is None:
        known_from = f"init: {run.init} was fitted or evaluated on the cohort of seed {min(shared)}"
        raise ConfigError(f"{known_from}; take another --seed and another --run")


def _known_whatever_the_split(run: Run, registry: Path) -> set[int]:
    """The seeds that the run's weights know from the published version at their root, and from runs of another seed."""
    root, since = runs.ancestry(run)
    others = [one for one in since if one.manifest is None and one.seed != run.seed]
    return runs.known_seeds(root, registry).union(*({one.seed, one.unseen_seed} for one in others))


def _split_otherwise(run: Run) -> set[int]:
    """The seeds of the simulated runs that this one's weights come from, where their split was another one.

    The same seed is the same patients: only with the same split are those of the test part new to the weights.
    """
    here = _same_splits(run)
    since = [one for one in runs.ancestry(run)[1] if one.manifest is None]
    others = [one for one in since if files.read_json(one.folder / SPLITS) not in here]
    return {seed for one in others for seed in (one.seed, one.unseen_seed)}


def _fitted_otherwise(run: Run, registry: Path) -> set[int]:
    """The seeds of the simulated cohorts that the first weights were fitted on, but for the run's own with its own split.

    With another split, clips that they were fitted on would choose the thresholds and be the test.
    """
    here = _same_splits(run)
    root, since = runs.ancestry(run)
    known = [(one.seed, files.read_json(one.folder / SPLITS)) for one in since if one.manifest is None]
    return {seed for seed, split in [*known, *runs.fitted(root, registry)] if seed != run.seed or split not in here}


def _same_splits(run: Run) -> list[object]:
    """The run's split as it is recorded, and as it was before it was told what its digests are of."""
    split = files.read_json(run.folder / SPLITS)
    return [split, {name: {key: part[key] for key in part if key != DIGEST_OF} for name, part in split.items()}]


def _checked_start(run: Run, registry: Path) -> dict[str, torch.Tensor] | None:
    """`first_weights`, with all refused that can be before the cohort is rendered or read, which takes long."""
    start = first_weights(run.init, run.recipe, registry)
    if not run.recipe.phases:
        _unknown(run, _known_whatever_the_split(run, registry))
    return start


def enough_each(recipe: Recipe, processes: int) -> None:
    """Raise ConfigError where a batch, or a process's part of one, has too few clips for batch norm's statistics."""
    shares = {phase.batch // processes + more for phase in recipe.phases for more in (0, int(phase.batch % processes > 0))}
    size = recipe.micro_batch
    least = min((share % size or size if 0 < size < share else share for share in shares), default=NORM_CLIPS)
    if least < NORM_CLIPS and not recipe.reestimate_clips:
        shared = f", shared out to {processes} processes," if processes > 1 else ""
        raise ConfigError(
            f"phases: some of a batch's parts{shared} have {least} clips; "
            f"batch norm wants {NORM_CLIPS} at least, or reestimate_clips"
        )


def first_weights(init: str, recipe: Recipe, registry: Path) -> dict[str, torch.Tensor] | None:
    """The weights to begin from: a published version's, another run's, or X3D's Kinetics file with a fresh last layer.

    Null: fresh ones. Raises ConfigError where there are none, or other ones than the recipe's network needs.
    """
    if not init:
        return None
    found = _weights(init, recipe, registry)
    _as_it_is(recipe, found)
    return found


def _weights(init: str, recipe: Recipe, registry: Path) -> dict[str, torch.Tensor]:
    if (Path(init) / WEIGHTS).is_file():
        other = runs.reopen(Path(init))
        if (other.recipe.model, other.recipe.spec) != (recipe.model, recipe.spec):
            raise ConfigError(f"init: {init} is a run of another model or of other frames than the recipe's")
        found: dict[str, torch.Tensor] = load_file(Path(init) / WEIGHTS)
        return found
    spec = recipe.spec
    if Path(init).suffix == KINETICS_SUFFIX:
        if not recipe.phases:
            raise ConfigError("phases: nothing would be trained, and Kinetics weights have no last layer for this label")
        if (spec.normalisation, spec.mean, spec.std) != ("fixed", kinetics.MEAN, kinetics.STD):
            raise ConfigError(
                f"init: Kinetics weights want spec.normalisation fixed, mean {kinetics.MEAN} and std {kinetics.STD}"
            )
        fresh = zoo.build(recipe.model)
        kinetics.load_kinetics(fresh, Path(init))
        return fresh.state_dict()
    if not runs.names_version(init):
        raise ConfigError(f"init: {init} is neither a run with weights nor NAME@VERSION")
    version = published.resolve(init, registry, asked_by="init")
    if version.card.spec != spec:
        raise ConfigError(f"init: {init} sees other frames than the recipe's spec")
    return weights.load(version).state_dict()


def taught(run: Run, clips: Clips, split: Split) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is trained on and validated on: the split's parts, without the kinds and the vendor that the run leaves out.

    Of the training part at most the recipe's `train_clips` are drawn. Raises ConfigError where no clip is of the kind or
    vendor, or where too little would be left.
    """
    parts = {"training": split.train, "validation": split.validation}
    # A user's kind may have a comma in its name.
    kinds = [run.without_kind] if run.without_kind in clips.kinds else run.without_kind.split(",")
    left_out = [("kind", one.strip(), clips.kinds) for one in kinds]
    for what, less, facts in (*left_out, ("vendor", run.without_vendor, clips.vendors)):
        if not less:
            continue
        if less not in facts:
            raise ConfigError(f"without-{what}: no clip is of the {what} {less}; there are {', '.join(sorted(set(facts)))}")
        parts = {name: tuple(i for i in part if facts[i] != less) for name, part in parts.items()}
        for name, part in parts.items():
            _both_labels(clips, part, f"without-{what}: without {less} {name}")
    if count := run.recipe.train_clips:
        parts["training"] = splits.drawn(clips, parts["training"], run.seed, count)
        _both_labels(clips, parts["training"], f"train_clips: a training part of {count} clips")
    return parts["training"], parts["validation"]


def _both_labels(clips: Clips, part: Sequence[int], what: str) -> None:
    if len({float(clips.labels[i]) for i in part}) < 2:  # noqa: PLR2004 - both labels
        raise ConfigError(f"{what} has no clip of one label")
