"""A cohort too large to keep: each simulated cine is rendered, sampled, scored and dropped; predictions and metrics stay.

A killed stream goes on where its predictions end, and comes to the same bytes.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from dicomqc.phantom.plan import CinePlan
from training import files, metrics, predictions
from training.calibration import probabilities
from training.data import sources
from training.data.cines import in_order
from training.evaluate import figures
from training.judges import Judge
from training.predictions import Predictions
from training.progress import Note, Say, counting
from training.run import METRICS, PREDICTIONS, preset

PART: Final = "stream"
SEEN: Final = "seen.csv"
FACTS: Final = "stream.json"
SEEN_COLUMNS: Final = ("clip", "visibility_window", "visibility_run", "near_misses")
_POINTS: Final = ("threshold", "threshold_specificity_95")

Shot = tuple[NDArray[np.uint8], dict[str, str]]


def stream(judge: Judge, seed: int, patients: int, folder: Path, workers: int, say: Say, *, cohort: str = "") -> dict[str, Any]:
    """Score the cohort that the judge's recipe makes of `seed`; predictions.csv, seen.csv and metrics.json in `folder`.

    `cohort`: the name of a preset that is taken instead; `patients` says nothing then. Raises ConfigError for patients that
    the weights know, and where `folder` holds another stream.
    """
    # Before the labels of a cohort by name are settled, which takes minutes.
    judge.refuse_seed(seed)
    if cohort:
        plans = tuple(plan for plan in preset(cohort, seed, workers, say, PART) if plan.eligible)
        patients = len({plan.patient_id for plan in plans})
    else:
        plans = sources.simulated(seed, patients, twins=judge.twins, unsatisfactory=judge.unsatisfactory)
    judge.refuse_known(plans)
    asked: dict[str, Any] = {"seed": seed, "patients": patients, **({"cohort": cohort} if cohort else {})}
    _open(folder, judge, asked)
    done = _kept(folder, judge.batch, len(plans))
    if done:
        say(f"{folder}: {done} of {len(plans)} clips are scored already")
    with counting("clips scored", say) as note:
        _score(judge, plans, done, folder, workers, note)
    part = predictions.read(folder / PREDICTIONS)[PART]
    vendors = {plan.sop_instance_uid: str(plan.vendor) for plan in plans}
    part = replace(part, vendors=tuple(vendors[clip] for clip in part.clips))
    with (folder / SEEN).open(newline="", encoding="utf-8") as handle:
        seen = {row["clip"]: row for row in csv.DictReader(handle)}
    found: dict[str, Any] = {"weights": judge.name, "weights_sha256": judge.weights_sha256, **asked}
    found |= {**judge.frozen, PART: {**figures(part, judge.frozen, seed), **_groups(part, seen, judge, seed)}}
    files.write_json(folder / METRICS, found)
    return found


def _open(folder: Path, judge: Judge, asked: Mapping[str, Any]) -> None:
    """Begin or go on with a stream; one of other weights, patients, frames or code is refused, not overwritten."""
    # A cohort by name has its own.
    shares = {} if "cohort" in asked else {"twins": judge.twins, "unsatisfactory": judge.unsatisfactory}
    facts = {
        "weights_sha256": judge.weights_sha256,
        **asked,
        **shares,
        "spec": judge.spec.digest(),
        "simulator": sources.simulator(),
    }
    path = folder / FACTS
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(path, facts)
    elif (kept := files.read_json(path)) != facts:
        other = ", ".join(name for name in {**facts, **kept} if kept.get(name) != facts.get(name))
        raise ConfigError(f"{folder} holds a stream that differs in {other}; remove it or choose another --out")


def _kept(folder: Path, batch: int, total: int) -> int:
    """How many clips are scored; what a kill tore, or left of a batch, is dropped from both files.

    Whole batches only: a network's sums depend in their last digits on how many clips are added up at once.
    """
    heads = ((folder / PREDICTIONS, predictions.COLUMNS), (folder / SEEN, SEEN_COLUMNS))
    lines = [_whole_lines(path) for path, _ in heads]
    done = max(min(len(one) for one in lines) - 1, 0)
    done = done if done == total else done - done % batch
    for (path, columns), found in zip(heads, lines, strict=True):
        part = path.with_suffix(".part")
        part.write_text("".join(found[: done + 1] or [",".join(columns) + "\r\n"]), encoding="utf-8", newline="")
        part.replace(path)
    return done


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return [line for line in handle if line.endswith("\n")]


def _score(judge: Judge, plans: Sequence[CinePlan], done: int, folder: Path, workers: int, note: Note) -> None:
    waiting = plans[done:]
    with (
        (folder / SEEN).open("a", newline="", encoding="utf-8") as seen,
        (folder / PREDICTIONS).open("a", newline="", encoding="utf-8") as said,
    ):
        shots = in_order(partial(sources.rendered, spec=judge.spec), waiting, workers)
        for batch, made in _batches(waiting, shots, judge.batch):
            facts = [one for _, one in made]
            logits = judge.logits(np.stack([frames for frames, _ in made]))
            # A line of predictions says that the clip is done, so it comes last.
            csv.writer(seen).writerows(
                (plan.sop_instance_uid, one["window"], one["run"], one["near"]) for plan, one in zip(batch, facts, strict=True)
            )
            seen.flush()
            csv.writer(said).writerows(_predicted(batch, facts, logits).rows(PART))
            said.flush()
            done += len(batch)
            note(done, len(plans))


def _batches(plans: Sequence[CinePlan], shots: Iterator[Shot], size: int) -> Iterator[tuple[Sequence[CinePlan], list[Shot]]]:
    for start in range(0, len(plans), size):
        batch = plans[start : start + size]
        yield batch, [next(shots) for _ in batch]


def _predicted(batch: Sequence[CinePlan], facts: Sequence[Mapping[str, str]], logits: NDArray[np.float64]) -> Predictions:
    return Predictions(
        clips=tuple(plan.sop_instance_uid for plan in batch),
        patients=tuple(plan.patient_id for plan in batch),
        kinds=tuple(plan.kind.value for plan in batch),
        labels=np.array([one["label"] == "unsatisfactory" for one in facts], dtype=np.float64),
        logits=logits,
        scores=probabilities(logits),
        graded=tuple(bool(one["graded"]) for one in facts),
    )


def _groups(part: Predictions, seen: Mapping[str, Mapping[str, str]], judge: Judge, seed: int) -> dict[str, object]:
    """Sensitivity by kind and specificity by near miss."""
    wrong = part.labels > 0
    near = [seen[clip]["near_misses"].split(";") for clip in part.clips]
    kinds = {kind: wrong & (np.array(part.kinds) == kind) for kind in sorted(set(part.kinds))}
    names = sorted({name for one in near for name in one})
    misses = {name or "none": ~wrong & np.array([name in one for one in near]) for name in names}
    return {
        "sensitivity_by_kind": _rates(part, kinds, "sensitivity", judge, seed),
        "specificity_by_near_miss": _rates(part, misses, "specificity", judge, seed),
    }


def _rates(
    part: Predictions, masks: Mapping[str, NDArray[np.bool_]], figure: str, judge: Judge, seed: int
) -> dict[str, dict[str, object]]:
    """One figure of each group of clips at every frozen threshold, with its interval over their patients."""
    found: dict[str, dict[str, object]] = {}
    for name, mask in masks.items():
        if not mask.any():
            continue
        mine = _where(part, mask)
        found[name] = {"clips": len(mine.clips)}
        for point in (one for one in _POINTS if one in judge.frozen):
            report = metrics.report(mine.labels, mine.scores, mine.patients, judge.frozen[point], seed=seed).to_json()
            intervals: Any = report["intervals"]
            found[name][point] = {figure: report[figure], "interval": intervals[figure]}
    return found


def _where(part: Predictions, mask: NDArray[np.bool_]) -> Predictions:
    places = np.flatnonzero(mask)
    return Predictions(
        clips=tuple(part.clips[i] for i in places),
        patients=tuple(part.patients[i] for i in places),
        kinds=tuple(part.kinds[i] for i in places),
        labels=part.labels[places],
        logits=part.logits[places],
        scores=part.scores[places],
        graded=tuple(part.graded[i] for i in places) if part.graded else (),
    )
