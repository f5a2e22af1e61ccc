"""The comparison as one command that may be stopped and called again: fit and evaluate recipe by recipe, report after each.

What a finished run leaves is packed without its checkpoint, so that little has to leave a machine that is lent; unpacked into
the same folder on another machine, the run counts as done there.
"""

import shutil
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from dicomqc.core.errors import ConfigError, DicomQCError
from training import report
from training import run as runs
from training.clock import Clock, Paused
from training.evaluate import check, evaluate
from training.fitting import enough_each, fit
from training.progress import Say
from training.recipe import load
from training.run import EXAMPLES, FACTS, FIT, METRICS, PREDICTIONS, RECIPE, SANITY, SPLITS, TABLE_1, WEIGHTS, Run

_PACKED: Final = (EXAMPLES, FACTS, FIT, METRICS, PREDICTIONS, RECIPE, SANITY, SPLITS, TABLE_1, "log.jsonl")
_LARGEST_BYTES: Final = 14 << 20  # of weights that are packed, too: X3D-S's are, a ResNet's are not


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run of the comparison."""

    recipe: Path
    fit_seed: int

    def folder(self, out: Path) -> Path:
        """Where the run is."""
        return out / f"{self.recipe.stem.replace('_', '-')}-{self.fit_seed}"


def entries(recipes: Sequence[Path], seeds: int, many: Sequence[str]) -> list[Entry]:
    """Every recipe once, in the order given; then those whose names are in `many` again, up to `seeds` times in all.

    Raises ConfigError for a name in `many` that none of the recipes has.
    """
    unknown = sorted(set(many) - {recipe.stem for recipe in recipes})
    if seeds > 1 and unknown:
        raise ConfigError(f"many: there is no recipe {', '.join(unknown)} among {', '.join(r.stem for r in recipes)}")
    first = [Entry(recipe=recipe, fit_seed=1) for recipe in recipes]
    return first + [Entry(recipe=r, fit_seed=s) for s in range(2, seeds + 1) for r in recipes if r.stem in many]


def refuse_small_batches(wanted: Sequence[Entry], out: Path) -> None:
    """Raise ConfigError where a run that is not begun would take batch norm's statistics from too few clips."""
    for entry in wanted:
        if not (entry.folder(out) / FACTS).exists():
            enough_each(load(entry.recipe), 1)


def run(
    wanted: Sequence[Entry],
    out: Path,
    seed: int,
    workers: int,
    say: Say,
    *,
    device: torch.device,
    registry: Path,
    clock: Clock,
    complexity: Path | None = None,
    sanity: bool = False,
) -> None:
    """Do what is not done yet, in order, and write the report after every run; `seed` is the cohort's.

    `sanity`: with the sanity checks of every run. A run that fails is told of and left, so that those after it are done.

    Raises `Paused` where the clock is over before the last, DicomQCError at the end where a run failed.
    """
    done: list[Path] = []
    failed: list[str] = []
    for entry in wanted:
        opened = runs.create(entry.folder(out), entry.recipe, seed, fit_seed=entry.fit_seed)
        before = (opened.folder / METRICS).exists()
        try:
            _finish(opened, out / "packed", workers, say, device=device, registry=registry, clock=clock, sanity=sanity)
        except Paused:
            raise
        except (DicomQCError, torch.OutOfMemoryError) as error:
            failed.append(opened.folder.name)
            say(f"{failed[-1]}: not done: {error}")
            continue
        done.append(opened.folder)
        # A report of many runs takes a while, and a call that goes on has minutes.
        if not before or entry is wanted[-1]:
            say(f"{opened.folder.name}: done, {len(done)} of {len(wanted)}; {report.write(done, out / 'report', complexity)}")
    if failed:
        raise DicomQCError(f"{', '.join(failed)}: not done, for the reasons above; the same command tries again")


def _finish(
    run: Run, packed: Path, workers: int, say: Say, *, device: torch.device, registry: Path, clock: Clock, sanity: bool
) -> None:
    if not (run.folder / METRICS).exists():
        clock.check()
        fit(run, workers, say, device=device, registry=registry, clock=clock)
        clock.check()
        evaluate(run, workers, say, device=device)
    if _behind(run.folder, packed):
        _pack(run.folder, packed)
    if sanity and not (run.folder / SANITY).exists():
        if not _weights_back(run.folder, packed):
            say(f"{run.folder.name}: no sanity checks: its weights did not come along from another machine")
            return
        clock.check()
        check(run, workers, say, device=device)
        _pack(run.folder, packed)


def _weights_back(folder: Path, packed: Path) -> bool:
    """Whether a run has its weights; those that came packed from another machine are put back."""
    beside = packed / f"{folder.name}.safetensors"
    if not (folder / WEIGHTS).exists() and beside.exists():
        _copied(beside, folder / WEIGHTS)
    return (folder / WEIGHTS).exists()


def _copied(source: Path, target: Path) -> None:
    """Copied and then renamed, so that a kill leaves no half of it."""
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.replace(target)


def _archive(folder: Path) -> str:
    return f"{folder.name}.tar.gz"


def _behind(folder: Path, packed: Path) -> bool:
    """Whether a run's archive is not there, is torn, or lacks what was written after it: a kill came before it was packed."""
    path = packed / _archive(folder)
    if not path.exists():
        return True
    found = [folder / name for name in _PACKED if (folder / name).exists()]
    if any(one.stat().st_mtime_ns > path.stat().st_mtime_ns for one in found):
        return True
    try:
        with tarfile.open(path) as archive:
            return not {f"{folder.name}/{one.name}" for one in found} <= set(archive.getnames())
    except (tarfile.TarError, EOFError, zlib.error):
        return True


def _pack(folder: Path, out: Path) -> None:
    """What a report is drawn from as OUT/RUN.tar.gz, and weights that are small beside it."""
    path = out / _archive(folder)
    out.mkdir(parents=True, exist_ok=True)
    # A run that came packed from another machine has none.
    if (folder / WEIGHTS).exists() and (folder / WEIGHTS).stat().st_size <= _LARGEST_BYTES:
        _copied(folder / WEIGHTS, out / f"{folder.name}.safetensors")
    part = path.with_suffix(".part")
    with tarfile.open(part, "w:gz") as archive:
        for name in _PACKED:
            if (folder / name).exists():
                archive.add(folder / name, arcname=f"{folder.name}/{name}")
    part.replace(path)
