"""`training carry-over` and `training real-runs`: what published weights make of real runs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry
from dicomqc.models.registry import ModelVersion
from dicomqc.settings import Settings
from training import carryover_check, real_runs, simulate

Command = Callable[[str, str], argparse.ArgumentParser]


def add(command: Command) -> None:
    """Add both, each by `command` with its name and what it says."""
    added = command(
        "carry-over", "do weights tell a real run from negatives made of its own frames; exit status 1 where they do not"
    )
    added.add_argument("cine", type=Path, metavar="CINE.dcm", help="a satisfactory coronary run that begins before contrast")
    added.add_argument(
        "--contrast-from", type=int, default=15, metavar="N", help="no frame before this one shows contrast (default 15)"
    )
    added.add_argument(
        "--seed", type=simulate.whole(0), action="append", help="of motion, noise and variants (default 1); may be given again"
    )
    _add_weights(added, _carry_over)
    added = command("real-runs", "what weights make of many real runs, and of cines made of their frames; writes logits")
    added.add_argument("table", type=Path, metavar="RUNS.csv", help=f"a CSV with {', '.join(real_runs.COLUMNS)}")
    added.add_argument("--frames", type=Path, required=True, metavar="DIR", help="where the sources lie: pictures or DICOM")
    added.add_argument("--part", required=True, help="the runs of this part are scored")
    added.add_argument("--out", type=Path, required=True, metavar="LOGITS.csv")
    added.add_argument("--seed", type=simulate.whole(0), default=1, help="of motion, noise and variants (default 1)")
    _add_weights(added, _real_runs)


def _add_weights(added: argparse.ArgumentParser, does: Callable[[argparse.Namespace], bool]) -> None:
    added.add_argument("--weights", metavar="NAME@VERSION", help="default: the node's")
    added.add_argument("--registry", type=Path, metavar="DIR", help="where to look beside the shipped versions")
    added.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    added.set_defaults(does=does)


def _asked(options: argparse.Namespace) -> tuple[ModelVersion, Path]:
    settings = Settings()
    asked_by = "weights" if options.weights else "score.model"
    return registry.resolve(options.weights or settings.score.model, options.registry, asked_by=asked_by), settings.cache()


def _carry_over(options: argparse.Namespace) -> bool:
    model, cache = _asked(options)
    kept = True
    for seed in options.seed or [1]:
        found = carryover_check.check(
            options.cine, model, cache, contrast_from=options.contrast_from, seed=seed, device=options.device
        )
        sys.stdout.write(f"seed {seed}\n{carryover_check.rendered(found)}\n")
        kept = kept and found.kept
    return kept


def _real_runs(options: argparse.Namespace) -> bool:
    model, cache = _asked(options)
    runs, others = real_runs.listed(options.table, options.part)
    if not options.out.absolute().parent.is_dir() or options.out.is_dir():
        raise ConfigError(f"out: {options.out} is no file in a folder that is there")
    registry.verify(model.folder)
    found = real_runs.score(runs, options.frames, model, cache, seed=options.seed, device=options.device)
    left = f"; {others} with another label left out" if others else ""
    sys.stdout.write(f"{model.ref}: {len(runs)} runs, {len(found)} cines{left}\n{real_runs.rendered(found)}\n")
    real_runs.write(options.out, found)
    return True
