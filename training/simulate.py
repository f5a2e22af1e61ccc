"""The commands that simulate: a cohort as DICOM or straight into a training cache, and a stream that is scored and dropped."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry
from dicomqc.phantom import files, presets
from dicomqc.phantom.plan import CinePlan
from training import judges, precision, recipe
from training import run as runs
from training.data import sources
from training.progress import Say, counting
from training.stream import PART, stream

_RECIPES: Final = Path(__file__).resolve().parents[1] / "config" / "training"

Command = Callable[[str, str], argparse.ArgumentParser]


def whole(least: int) -> Callable[[str], int]:
    """Reads an option's whole number of at least `least`."""

    def parse(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise argparse.ArgumentTypeError(f"a whole number of at least {least} is expected, not {text}")
        return found

    return parse


def add(command: Command, say: Say) -> None:
    """Add `phantom` and `stream` to the commands."""
    _add_phantom(command("phantom", "simulate a cohort as DICOM files or straight into a training cache, with labels.csv"), say)
    _add_stream(command("stream", "score a simulated cohort clip by clip, keeping predictions and metrics only"), say)


def _add_phantom(added: argparse.ArgumentParser, say: Say) -> None:
    added.add_argument("--seed", type=whole(0), required=True)
    added.add_argument("--cohort", choices=presets.NAMES, help="a cohort by name, instead of the three options that follow")
    added.add_argument("--patients", type=whole(1), default=10)
    added.add_argument("--unsatisfactory", type=float, default=0.3, help="expected share of unsatisfactory cines")
    added.add_argument("--twins", type=float, default=0.0, help="above 0: a balanced cohort, this share of it in twins")
    added.add_argument(
        "--ineligible",
        type=float,
        help="share of short, 7.5 and 30 fps runs: expected (default 0.1), or reached by adding to --cohort's (default: none)",
    )
    added.add_argument("--sink", choices=("dicom", "cache"), default="dicom", help="what is written (default dicom)")
    added.add_argument(
        "--recipe",
        type=Path,
        default=_RECIPES / "x3d_s.yaml",
        help="cache: whose frames are kept (default: X3D-S's, 160 pixels)",
    )
    added.add_argument("--out", type=Path, required=True, help="folder of the files, or of the cache")
    added.set_defaults(does=lambda options: _phantom(options, say))


def _phantom(options: argparse.Namespace, say: Say) -> None:
    plans = _plans(options, say)
    if options.sink == "dicom":
        with counting("cines written", say) as progress:
            files.write(plans, options.out, options.workers, progress)
        return
    wanted = recipe.load(options.recipe)
    # What the node refuses has no clip; from files it would be left out too.
    kept = [plan for plan in plans if plan.eligible]
    if len(kept) < len(plans):
        say(f"left out {len(plans) - len(kept)} cines that are short or of another frame rate")
    if not kept:
        raise ConfigError("phantom: no cine of this cohort is eligible")
    with counting("clips rendered", say) as progress:
        clips = sources.from_plans(
            kept, wanted.spec, options.out, margin=wanted.margin, workers=options.workers, progress=progress
        )
    say(f"written: {sources.write_labels(kept, clips, options.out)} of the cache {clips.folder}")


def _plans(options: argparse.Namespace, say: Say) -> tuple[CinePlan, ...]:
    if options.cohort:
        share = options.ineligible or 0.0
        if not 0.0 <= share < 1.0:
            raise ConfigError("ineligible: beside a cohort by name, a number of at least 0 and below 1 is expected")
        return presets.with_ineligible(runs.preset(options.cohort, options.seed, options.workers, say), share)
    if not 0.0 <= options.twins < 1.0:
        raise ConfigError("twins: a number of at least 0 and below 1 is expected")
    if options.twins and options.ineligible:
        raise ConfigError("ineligible: a cohort with twins has no such runs; ask for one of the two")
    return sources.simulated(
        options.seed,
        options.patients,
        twins=options.twins,
        unsatisfactory=options.unsatisfactory,
        ineligible=0.1 if options.ineligible is None else options.ineligible,
    )


def _add_stream(added: argparse.ArgumentParser, say: Say) -> None:
    who = added.add_mutually_exclusive_group(required=True)
    who.add_argument("--run", type=Path, help="an evaluated run")
    who.add_argument("--weights", metavar="NAME@VERSION", help="published weights, in the node's engine")
    added.add_argument("--seed", type=whole(0), required=True, help="of a cohort that the weights do not know")
    size = added.add_mutually_exclusive_group(required=True)
    size.add_argument("--patients", type=whole(1), default=0, help="of a cohort like that of the weights' recipe")
    size.add_argument("--cohort", choices=presets.NAMES, default="", help="a cohort by name, without what the node refuses")
    added.add_argument("--registry", type=Path, default=registry.shipped(), help="of --weights and of what a run began from")
    added.add_argument("--out", type=Path, help="default RUN/stream-[COHORT-]SEED, or below runs/NAME-VERSION")
    added.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    added.set_defaults(does=lambda options: _stream(options, say))


def _stream(options: argparse.Namespace, say: Say) -> None:
    folder = options.run or Path("runs") / str(options.weights).replace("@", "-")
    if options.run:
        judge = judges.of_run(runs.reopen(options.run), precision.device(options.device), options.registry)
    else:
        judge = judges.of_version(options.weights, options.registry, options.device)
    out = options.out or folder / "-".join(filter(None, ("stream", options.cohort, str(options.seed))))
    found = stream(judge, options.seed, options.patients, out, options.workers, say, cohort=options.cohort)
    shown = {name: value for name, value in found[PART].items() if not isinstance(value, dict)}
    say(f"stream: {json.dumps(shown)}")
    say(f"written: {out}")
