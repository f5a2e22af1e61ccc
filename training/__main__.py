"""`python -m training`: complexity, phantom, fit, evaluate, publish, and weights, which does it all from one seed."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import save_file

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry, zoo
from dicomqc.phantom import cohort, files, presets
from training import complexity, complexity_tables
from training import run as runs
from training.evaluate import evaluate
from training.loop import fit
from training.publish import publish
from training.run import WEIGHTS, Run

_RECIPE = Path(__file__).resolve().parents[1] / "config" / "training" / "x3d_s_demo.yaml"
_COMPLEXITY = "parameters and MACs of the models as the paper counts them, per clip as they really run, and measured time"
_log = logging.getLogger("training")
_began = time.monotonic()


def _say(text: str) -> None:
    _log.info("%6.0f s  %s", time.monotonic() - _began, text)


def _phantom(options: argparse.Namespace) -> None:
    if options.cohort:
        plans = presets.planned(options.cohort, options.seed, options.workers, _every("labels settled"))
    else:
        plans = cohort.plan(
            options.seed, options.patients, unsatisfactory=options.unsatisfactory, ineligible=options.ineligible
        )
    files.write(plans, options.out, options.workers, _every("cines written"))


def _every(what: str) -> Callable[[int, int], None]:
    """Progress that says every hundredth step and the last."""

    def progress(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            _say(f"{done} of {total} {what}")

    return progress


def _fit(options: argparse.Namespace) -> Run:
    run = runs.create(options.run or Path("runs") / f"x3d-s-demo-{options.seed}", options.recipe, options.seed)
    if (run.folder / WEIGHTS).exists():
        _say(f"{run.folder} is trained already")
        return run
    clips = run.clips(options.workers, _say)
    split = run.split(clips)
    runs.record_split(run, clips, split)
    _say(f"training on {len(split.train)} clips, {run.recipe.steps} steps; log in {run.folder}/log.jsonl")
    model = fit(run.recipe, clips, split.train, run.folder, run.seed, _say)
    part = run.folder / f"{WEIGHTS}.part"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)
    part.replace(run.folder / WEIGHTS)
    return run


def _evaluate(run: Run, options: argparse.Namespace) -> None:
    found = evaluate(run, options.workers, _say)
    for part in ("validation", "test", "unseen"):
        _say(f"{part}: {json.dumps(found[part])}")
    _say(f"unseen AUC by kind: {json.dumps(found['unseen_auc_by_kind'])}")


def _publish(run: Run, root: Path) -> None:
    if (root / run.recipe.name / run.recipe.version).exists():
        # A published version never changes; the run keeps its own, so that the two can be compared.
        root = run.folder / "registry"
        _say(f"{run.recipe.name}@{run.recipe.version} is published already; writing to {root}")
    version = publish(run, root)
    _say(f"published {version.ref} in {version.folder}, weights {version.ref.weights_sha256}")


def _weights(options: argparse.Namespace) -> None:
    run = _fit(options)
    _evaluate(run, options)
    _publish(run, options.registry)


def _complexity(options: argparse.Namespace) -> None:
    counts = [complexity.count(name) for name in options.models]
    timings = []
    if options.measure:
        for row in counts:
            _say(f"{row['title']}: timing {', '.join(options.engines)}")
            timings += [{**row, **t} for t in complexity.measure(row["name"], options.engines, repeats=options.repeats)]
    sys.stdout.write(complexity_tables.rendered(counts, timings, options.format) + "\n")


def _names(known: Sequence[str], what: str) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {what} {name!r}; one of {', '.join(known)}")
        return names

    return parse


def _add_complexity(added: argparse.ArgumentParser) -> None:
    models = list(zoo.ARCHITECTURES)
    added.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    added.add_argument("--measure", action="store_true", help="time one clip a call on this machine's CPU, too")
    added.add_argument("--models", type=_names(models, "model"), default=models, metavar="NAME,…", help=", ".join(models))
    engines = complexity.ENGINES
    added.add_argument(
        "--engines", type=_names(engines, "engine"), default=list(engines), metavar="NAME,…", help=", ".join(engines)
    )
    added.add_argument("--repeats", type=int, default=9, help="timed calls of each engine (default 9); the median is reported")
    added.set_defaults(does=_complexity)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, says: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=says, description=says)
        added.add_argument("--workers", type=int, default=2, help="processes that render (default 2)")
        return added

    _add_complexity(commands.add_parser("complexity", help=_COMPLEXITY, description=_COMPLEXITY))
    phantom = command("phantom", "write a cohort of simulated angiograms as DICOM, with labels.csv")
    phantom.add_argument("--seed", type=int, required=True)
    phantom.add_argument("--cohort", choices=presets.NAMES, help="a cohort by name, instead of the three options that follow")
    phantom.add_argument("--patients", type=int, default=10)
    phantom.add_argument("--unsatisfactory", type=float, default=0.3, help="expected share of unsatisfactory cines")
    phantom.add_argument("--ineligible", type=float, default=0.1, help="expected share of short, 7.5 and 30 fps runs")
    phantom.add_argument("--out", type=Path, required=True)
    phantom.set_defaults(does=_phantom)
    for name, says, does in (
        ("fit", "render the training cohort and train, or go on where an interrupted run stopped", _fit),
        ("weights", "fit, evaluate and publish the demonstration weights from one seed", _weights),
    ):
        added = command(name, says)
        added.add_argument("--seed", type=int, required=True)
        added.add_argument("--recipe", type=Path, default=_RECIPE)
        added.add_argument("--run", type=Path, help="run folder (default runs/x3d-s-demo-SEED)")
        added.add_argument("--registry", type=Path, default=registry.shipped())
        added.set_defaults(does=does)
    added = command("evaluate", "score validation, test and the unseen cohort; writes predictions.csv and metrics.json")
    added.add_argument("--run", type=Path, required=True)
    added.set_defaults(does=lambda options: _evaluate(runs.reopen(options.run), options))
    added = command("publish", "write an evaluated run's weights as a registry version")
    added.add_argument("--run", type=Path, required=True)
    added.add_argument("--registry", type=Path, default=registry.shipped())
    added.set_defaults(does=lambda options: _publish(runs.reopen(options.run), options.registry))
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when done, 2 for a recipe, folder or version that cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        options.does(options)
    except (ConfigError, OSError) as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
