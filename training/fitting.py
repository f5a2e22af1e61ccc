"""One run from its clips to its weights: split, fit, and what fit.json says of how the weights came about."""

import json
import time
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file

from dicomqc.core.errors import ConfigError
from dicomqc.models import kinetics, weights, zoo
from dicomqc.models import registry as published
from training import checkpoint, distributed, loop, precision
from training import run as runs
from training.clock import NO_END, Clock
from training.data.cines import Clips
from training.data.splits import Split
from training.progress import Say
from training.run import FIT, WEIGHTS, Run

KINETICS_SUFFIX: Final = ".pyth"


def fit(run: Run, workers: int, say: Say, *, device: torch.device, registry: Path, clock: Clock = NO_END) -> None:
    """Fit the run's network and write its weights, or do nothing where they are there.

    Raises ConfigError, `loop.Diverged`, and `Paused` where the clock is over before the end.
    """
    if (run.folder / WEIGHTS).exists():
        say(f"{run.folder} is trained already")
        return
    start = _start(run, registry)
    clips = run.clips(workers, say)
    split = run.split(clips)
    runs.record_split(run, clips, split)
    train, validation = taught(run, clips, split)
    steps = run.recipe.steps(len(train))
    say(
        f"training {run.recipe.model} on {len(train)} clips in {precision.name(device)} on {device}, {steps} steps; "
        f"log in {run.folder}/log.jsonl"
    )
    began = time.monotonic()
    model = loop.fit(
        run.recipe, clips, train, run.folder, run.fit_seed, say, validation=validation, start=start, device=device, clock=clock
    )
    facts = {
        "steps": steps,
        "epochs": round(sum(p.steps_of(len(train)) * p.batch for p in run.recipe.phases) / max(len(train), 1), 2),
        "train_clips": len(train),
        "cohort_clips": len(clips.labels),
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": precision.name(device),
        "processes": distributed.world().size,
        "seconds_of_last_process": round(time.monotonic() - began, 1),
    }
    if distributed.world().first:
        (run.folder / FIT).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        checkpoint.save_weights(model, run.folder / WEIGHTS)


def _start(run: Run, registry: Path) -> dict[str, torch.Tensor] | None:
    """The weights to begin from: a published version's, another run's, or X3D's Kinetics file with a fresh last layer.

    Null: fresh ones.
    """
    if not run.init:
        return None
    if (Path(run.init) / WEIGHTS).is_file():
        other = runs.reopen(Path(run.init))
        if (other.recipe.model, other.recipe.spec) != (run.recipe.model, run.recipe.spec):
            raise ConfigError(f"init: {run.init} is a run of another model or of other frames than the recipe's")
        found: dict[str, torch.Tensor] = load_file(Path(run.init) / WEIGHTS)
        return found
    spec = run.recipe.spec
    if Path(run.init).suffix == KINETICS_SUFFIX:
        if (spec.normalisation, spec.mean, spec.std) != ("fixed", kinetics.MEAN, kinetics.STD):
            raise ConfigError(
                f"init: Kinetics weights want spec.normalisation fixed, mean {kinetics.MEAN} and std {kinetics.STD}"
            )
        network = zoo.build(run.recipe.model)
        kinetics.load_kinetics(network, Path(run.init))
        return network.state_dict()
    version = published.resolve(run.init, registry)
    if version.card.spec != spec:
        raise ConfigError(f"init: {run.init} sees other frames than the recipe's spec")
    return weights.load(version).state_dict()


def taught(run: Run, clips: Clips, split: Split) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is trained on and validated on: the split's parts, without the kind and the vendor that the run leaves out.

    Raises ConfigError where no clip is of them, or where too little would be left.
    """
    parts = {"training": split.train, "validation": split.validation}
    for what, less, facts in (("kind", run.without_kind, clips.kinds), ("vendor", run.without_vendor, clips.vendors)):
        if not less:
            continue
        if less not in facts:
            raise ConfigError(f"without-{what}: no clip is of the {what} {less}; there are {', '.join(sorted(set(facts)))}")
        parts = {name: tuple(i for i in part if facts[i] != less) for name, part in parts.items()}
        for name, part in parts.items():
            if len({float(clips.labels[i]) for i in part}) < 2:  # noqa: PLR2004 - both labels
                raise ConfigError(f"without-{what}: without {less} {name} has no clip of one label")
    return parts["training"], parts["validation"]
