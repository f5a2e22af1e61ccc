"""`python -m training`: from labelled cines to published weights, and the tables and figures of runs."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dicomqc.core.errors import DicomQCError
from dicomqc.models import registry, zoo
from training import (
    carryover_commands,
    compare,
    comparison,
    complexity,
    complexity_tables,
    distributed,
    figures,
    precision,
    report,
    results,
    simulate,
)
from training import recipe as recipes
from training import run as runs
from training.clock import Clock, Paused
from training.data import importers
from training.evaluate import check, evaluate
from training.fitting import enough_each, first_weights, fit
from training.publish import publish
from training.run import Run

_RECIPES = Path(__file__).resolve().parents[1] / "config" / "training"
_PAUSED = 75
_log = logging.getLogger("training")
_began = time.monotonic()


def _say(text: str) -> None:
    if distributed.world().first:
        _log.info("%6.0f s  %s", time.monotonic() - _began, text)


def _complexity(options: argparse.Namespace) -> None:
    counts = [complexity.count(name) for name in options.models]
    timings = []
    if options.measure:
        for row in counts:
            _say(f"{row['title']}: timing {', '.join(options.engines)}")
            timings += [{**row, **t} for t in complexity.measure(row["name"], options.engines, repeats=options.repeats)]
    sys.stdout.write(complexity_tables.rendered(counts, timings, options.format) + "\n")


def _import(options: argparse.Namespace) -> None:
    asked = importers.Import(
        folder=options.folder,
        out=options.out,
        frame_rate_hz=options.frame_rate,
        non_selected_unsatisfactory=options.non_selected_unsatisfactory,
    )
    importers.run(options.source, asked, _say)


def _folder(options: argparse.Namespace) -> Path:
    return options.run or Path("runs") / f"{options.recipe.stem.replace('_', '-')}-{options.seed}"


def _opened(options: argparse.Namespace) -> Run:
    folder = _folder(options)
    if not (folder / runs.FACTS).exists():
        # A refused start must leave no folder, which would then refuse the right one.
        first_weights(options.init or "", recipes.load(options.recipe), options.registry)
    return runs.create(
        folder,
        options.recipe,
        options.seed,
        fit_seed=options.fit_seed,
        cines=options.manifest,
        init=options.init or "",
        without_kind=options.without_kind or "",
        without_vendor=options.without_vendor or "",
    )


def _fit(options: argparse.Namespace) -> Run:
    world = distributed.world()
    if not (_folder(options) / runs.FACTS).exists():
        enough_each(recipes.load(options.recipe), world.size)
    # The first opens the folder and fills the cache, so that the others find both.
    run = _opened(options) if world.first else None
    if run is not None and world.size > 1:
        run.clips(options.workers, _say)
    distributed.wait()
    run = run or _opened(options)
    device = distributed.local_device(precision.device(options.device))
    fit(run, options.workers, _say, device=device, registry=options.registry)
    distributed.wait()
    return run


def _evaluate(run: Run, options: argparse.Namespace) -> None:
    device = distributed.local_device(precision.device(options.device))
    found: dict[str, Any] = evaluate(run, options.workers, _say, device=device, independent=options.manifest)
    distributed.wait()
    for part in ("validation", "test", "unseen", "independent"):
        if part in found:
            shown = {k: v for k, v in found[part].items() if not isinstance(v, dict)}
            _say(f"{part}: {json.dumps(shown)}")
    if options.sanity:
        for name, auc in check(run, options.workers, _say, device=device).items():
            if isinstance(auc, float):
                _say(f"sanity, {name}: AUC {auc:.3f}")


def _compare(options: argparse.Namespace) -> None:
    _say(f"written: {report.write(options.runs, options.out, options.complexity)}")


def _comparison(options: argparse.Namespace) -> None:
    wanted = comparison.entries(options.recipes, options.seeds, options.many)
    comparison.refuse_small_batches(wanted, options.out)
    comparison.run(
        wanted,
        options.out,
        options.seed,
        options.workers,
        _say,
        device=precision.device(options.device),
        registry=registry.shipped(),
        clock=Clock(options.minutes * 60.0),
        complexity=options.complexity,
        sanity=options.sanity,
    )


def _figures(options: argparse.Namespace) -> None:
    for path in figures.draw(compare.checked([results.read(folder) for folder in options.runs]), options.out).values():
        _say(f"drawn: {path} and {path.with_suffix('.svg').name}")


def _publish(run: Run, root: Path, options: argparse.Namespace) -> None:
    if not distributed.world().first:
        return
    name, _, number = (options.name or str(run.recipe.name) + "@" + run.recipe.version).partition("@")
    if (root / name / number).exists():
        # A published version never changes; the run keeps its own, so that the two can be compared.
        root = run.folder / "registry"
        _say(f"{name}@{number} is published already; writing to {root}")
    version = publish(run, root, name=name, version=number, intended_use=options.intended_use or "")
    _say(f"published {version.ref} in {version.folder}, weights {version.ref.weights_sha256}")


def _weights(options: argparse.Namespace) -> None:
    run = _fit(options)
    options.manifest, options.sanity = None, False
    _evaluate(run, options)
    _publish(run, options.registry, options)


class _Parser:
    """The commands, each with what it shares with others."""

    def __init__(self) -> None:
        """An empty list of commands."""
        self.parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
        self._commands = self.parser.add_subparsers(required=True, metavar="COMMAND")

    def command(self, name: str, says: str) -> argparse.ArgumentParser:
        """A command."""
        return self._commands.add_parser(name, help=says, description=says)

    def parallel(self, name: str, says: str) -> argparse.ArgumentParser:
        """A command with its number of processes."""
        added = self.command(name, says)
        added.add_argument("--workers", type=simulate.whole(1), default=2, help="processes that read or render (default 2)")
        return added


def _names(known: Sequence[str], what: str) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {what} {name!r}; one of {', '.join(known)}")
        return names

    return parse


def _add_complexity(commands: _Parser) -> None:
    models, engines = list(zoo.ARCHITECTURES), list(complexity.ENGINES)
    added = commands.command(
        "complexity", "parameters and MACs of the models as the paper counts them, per clip as they run, and measured time"
    )
    added.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    added.add_argument("--measure", action="store_true", help="time one clip a call on this machine's CPU, too")
    added.add_argument("--models", type=_names(models, "model"), default=models, metavar="NAME,…", help=", ".join(models))
    added.add_argument("--engines", type=_names(engines, "engine"), default=engines, metavar="NAME,…", help=", ".join(engines))
    added.add_argument("--repeats", type=int, default=9, help="timed calls of each engine (default 9); the median is reported")
    added.set_defaults(does=_complexity)


def _add_import(commands: _Parser) -> None:
    added = commands.command("import", "turn a local copy of a public set, or the node's reviews, into a manifest")
    added.add_argument("source", choices=sorted(importers.SOURCES))
    added.add_argument("folder", type=Path)
    added.add_argument("--out", type=Path, required=True, help="the manifest to write (CSV)")
    added.add_argument("--frame-rate", type=float, default=15.0, help="of sets that do not tell it (default 15)")
    added.add_argument(
        "--non-selected-unsatisfactory",
        action="store_true",
        help="cadica: take videos that were not selected as unsatisfactory",
    )
    added.set_defaults(does=_import)


def _add_fit(commands: _Parser) -> None:
    for name, says, does in (
        ("fit", "train on a manifest or on the recipe's simulated cohort, or go on where an interrupted run stopped", _fit),
        ("weights", "fit, evaluate and publish the demonstration weights from one seed", _weights),
    ):
        added = commands.parallel(name, says)
        added.add_argument("--seed", type=simulate.whole(0), required=name == "weights", default=1)
        added.add_argument("--fit-seed", type=simulate.whole(0), help="of weights and the order of clips (default: the seed)")
        added.add_argument("--recipe", type=Path, default=_RECIPES / ("x3d_s_demo.yaml" if name == "weights" else "x3d_s.yaml"))
        added.add_argument("--run", type=Path, help="run folder (default runs/RECIPE-SEED)")
        added.add_argument(
            "--manifest", type=Path, help="manifest (CSV with path and label); default: the recipe's simulated cohort"
        )
        added.add_argument("--init", help="begin at NAME@VERSION, another run's folder, or a local X3D_S.pyth")
        added.add_argument("--without-kind", help="leave this kind out of training and validation (or several: KIND,KIND)")
        added.add_argument("--without-vendor", help="leave this vendor out of both (a number, or a header's Manufacturer)")
        added.add_argument("--registry", type=Path, default=registry.shipped())
        _add_name(added)
        added.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        added.set_defaults(does=does)


def _add_name(added: argparse.ArgumentParser) -> None:
    added.add_argument("--name", help="publish as NAME@VERSION (default: the recipe's)")
    added.add_argument("--intended-use", help="what the card promises; without it the weights are for demonstration only")


def _add_results(commands: _Parser) -> None:
    added = commands.parallel(
        "evaluate", "score validation, test and an independent cohort; writes predictions.csv and metrics.json"
    )
    added.add_argument("--run", type=Path, required=True)
    added.add_argument("--manifest", type=Path, help="manifest of an independent cohort")
    added.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    added.add_argument("--sanity", action="store_true", help="also score changed clips and a baseline; writes sanity.json")
    added.set_defaults(does=lambda options: _evaluate(runs.reopen(options.run), options))
    added = commands.command("publish", "write an evaluated run's weights as a registry version")
    added.add_argument("--run", type=Path, required=True)
    added.add_argument("--registry", type=Path, default=registry.shipped())
    _add_name(added)
    added.set_defaults(does=lambda options: _publish(runs.reopen(options.run), options.registry, options))


def _add_reports(commands: _Parser) -> None:
    for name, says, does in (
        ("compare", "tables and figures of evaluated runs, the paper's numbers beside them", _compare),
        ("figures", "draw the figures of evaluated runs again", _figures),
    ):
        added = commands.command(name, says)
        added.add_argument("runs", type=Path, nargs="+", metavar="RUN")
        added.add_argument("--out", type=Path, required=True, help="folder of the report")
        added.add_argument("--complexity", type=Path, help="JSON of `complexity --format json`, for Table 3")
        added.set_defaults(does=does)


def _add_comparison(commands: _Parser) -> None:
    added = commands.parallel(
        "comparison", "fit, evaluate and report several recipes on one cohort; may be stopped and called again"
    )
    added.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE", help="recipes, in the order in which they are run")
    added.add_argument("--seed", type=simulate.whole(0), required=True, help="of the cohort and its split")
    added.add_argument("--seeds", type=int, default=1, help="fit so many times from other weights (default 1)…")
    added.add_argument("--many", type=lambda text: text.split(","), default=[], help="…these recipes, by name")
    added.add_argument("--out", type=Path, required=True, help="folder of the runs, the report and packed results")
    added.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop by then, exit code 75; the same command goes on"
    )
    added.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    added.add_argument("--complexity", type=Path, help="JSON of `complexity --format json`, for Table 3")
    added.add_argument("--sanity", action="store_true", help="with the sanity checks of every run, also of runs that are done")
    added.set_defaults(does=_comparison)


def _parser() -> argparse.ArgumentParser:
    commands = _Parser()
    _add_complexity(commands)
    simulate.add(commands.parallel, _say)
    _add_import(commands)
    _add_fit(commands)
    _add_results(commands)
    _add_comparison(commands)
    _add_reports(commands)
    carryover_commands.add(commands.command)
    return commands.parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0: done, 1: a check failed, 75 (EX_TEMPFAIL): paused by a clock, 2: what was given cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    precision.full_fp32()
    try:
        with distributed.joined():
            failed = options.does(options) is False
    except Paused as error:
        _log.info("%s", error)
        return _PAUSED
    except (DicomQCError, OSError) as error:
        _log.error("%s", error)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
