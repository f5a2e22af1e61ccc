"""Can the label be guessed without looking at the vessels?

    python -m tests.benchmarks.bench_phantom_shortcuts [--pairs N] [--patients N] [--json FILE]

Each set of nuisances goes to a logistic regression and to gradient boosting; told is the cross-validated AUC of each and the
95 % interval of the better one. Above 0.65 a set stands under `above`, and the generator is to be mended unless the cause
itself is what is found. Two designs:

* pairs: good runs against their bad twins, split by pair. Twins share everything but the cause, so header and frame count are
  equal in them by design and only what the cause does to the picture can be found.
* unpaired: the clips of a training cohort that have no twin, split by patient. Matched are satisfactory coronary runs against
  unsatisfactory ones of the kinds that show the native tree; `every kind` is all clips; `as meant` puts the kind that was
  drawn in the place of what is seen, so that noise or a narrow field, which hide vessels, can say nothing of it.
"""

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pydicom
from sklearn.metrics import roc_auc_score

from dicomqc.phantom import cohort, dicom, scene, sight
from dicomqc.phantom.cine import render, shown
from dicomqc.phantom.cohort import Wish
from dicomqc.phantom.plan import NATIVE, TWIN_CAUSES, CinePlan, Kind
from dicomqc.sample.display import resize
from tests.support import shortcuts

SAMPLED: Final = tuple(range(16, 47, 2))
FEWEST: Final = 15
THINGS: Final = ("sternal wires and clips", "ECG lead", "guide wire", "pacing lead", "stent")
# Causes by what they do to the contrast in the sampled frames.
LONE: Final = "too little seen of a full injection"
GROUPS: Final = {
    "contrast missing or late": (Kind.NO_CONTRAST, Kind.LATE_CONTRAST, Kind.PARTIAL_RECORDING),
    "contrast weak or lost": (Kind.WEAK_FILLING, Kind.POOR_ENGAGEMENT),
    "contrast as in a good run": (Kind.OBSTRUCTING_DEVICE, Kind.GRAFT),
    LONE: (Kind.CORONARY,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A clip: what was meant, whether it came out satisfactory, and its nuisances by set; the header as words by field."""

    kind: Kind
    cause: Kind | None
    patient: int
    satisfactory: bool
    header: dict[str, str]
    sets: dict[str, list[float]]


def measured(plan: CinePlan) -> Row:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        # Every eighth frame: the size per frame stands for the file's, which grows with the frames alone.
        short = render(plan, range(1, plan.frames + 1, 8))
        path = dicom.write(plan, short, Path(folder) / "a.dcm")
        ds, size = pydicom.dcmread(path), path.stat().st_size / len(short)
    syntax = str(ds.file_meta.TransferSyntaxUID).rsplit(".", 1)[1]
    return Row(
        kind=plan.kind,
        cause=plan.cause,
        patient=plan.patient,
        satisfactory=sight.judge(plan).satisfactory,
        header={**shortcuts.header_fields(ds), "TransferSyntaxUID": syntax},
        sets={
            "devices": devices(plan),
            "frame count": [float(plan.frames)],
            "file size per frame": [float(size)],
            **_pictures(plan),
        },
    )


def devices(plan: CinePlan) -> list[float]:
    """Which foreign things are there, as the scene says; whether an implant lies over the vessels is not asked."""
    built = scene.build(plan)
    return [float(thing in built.present) for thing in THINGS] + [float(built.covers is not None)]


def _pictures(plan: CinePlan) -> dict[str, list[float]]:
    clip = resize(shown(plan, SAMPLED), 160).astype(np.float32)
    first = resize(shown(plan, [1]), 160)[0].astype(np.float32)
    rest = clip - np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in clip])
    moves = np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2))
    border = np.concatenate([clip[:, :8].ravel(), clip[:, -8:].ravel(), clip[:, :, :8].ravel(), clip[:, :, -8:].ravel()])
    histogram = np.histogram(clip, 16, (0, 256))[0] / clip.size
    return {
        "brightness and histogram": [float(clip.mean()), float(clip.std()), *histogram.tolist()],
        "noise power": [float(np.median(np.abs(rest))), *np.percentile(np.abs(rest), [25, 75, 90]).tolist()],
        "frame-difference energy": [float(moves.mean()), float(moves.std()), float(moves.max()), float(moves.min())],
        "first frame": [*cv2.resize(first, (8, 8), interpolation=cv2.INTER_AREA).ravel().tolist(), float(first.std())],
        "border": [float(border.mean()), float(border.std()), *np.percentile(border, [5, 25, 50, 75, 95]).tolist()],
    }


def twins(pairs: int) -> list[CinePlan]:
    plans: list[CinePlan] = []
    for index in range(pairs):
        cause = TWIN_CAUSES[index % len(TWIN_CAUSES)]
        plans += cohort.lay_out(8_000_011, index, [Wish(kind=Kind.CORONARY, cause=cause)])
    return plans


def section(rows: Sequence[Row], bad: Callable[[Row], bool]) -> dict[str, object]:
    """How well each set tells the rows that are `bad`, by patient, which a pair is as well."""
    labels, groups = np.array([bad(row) for row in rows]), np.array([row.patient for row in rows])
    counts = {"clips": len(rows), "bad": int(labels.sum())}
    if min(counts["bad"], len(rows) - counts["bad"]) < FEWEST:
        return {**counts, "too few": True}
    names, header = shortcuts.table([row.header for row in rows])
    tables = {"header": header, **{name: np.array([row.sets[name] for row in rows]) for name in rows[0].sets}}
    found = {name: _set(values, labels, groups) for name, values in tables.items()}
    alone = shortcuts.single(header, labels)
    worst = {"field": names[int(alone.argmax())], "auc": round(float(alone.max()), 3)}
    if not rows[0].cause:  # shuffled labels would part twins
        worst["the best of all fields by chance, 95th percentile"] = round(shortcuts.by_chance(header, labels), 3)
    above = [name for name, figures in found.items() if max(figures["logistic"], figures["boosting"]) > shortcuts.MOST]
    return {**counts, "above": above, "auc": found, "worst header field": worst}


def _set(values: shortcuts.Numbers, labels: shortcuts.Labels, groups: np.ndarray) -> dict[str, float]:
    guesses = {name: shortcuts.guessed(model, values, labels, groups) for name, model in shortcuts.models().items()}
    figures = {name: float(roc_auc_score(labels, guess)) for name, guess in guesses.items()}
    low, high = shortcuts.interval(guesses[max(figures, key=lambda name: figures[name])], labels, groups)
    return {name: round(value, 3) for name, value in {**figures, "low": low, "high": high}.items()}


def paired(rows: Sequence[Row]) -> dict[str, object]:
    """All pairs, by what the cause does to the contrast, and by cause."""
    # A pair whose members came out with one label says nothing of what tells the labels apart.
    kept = [row for a, b in zip(rows[::2], rows[1::2], strict=True) if a.satisfactory is not b.satisfactory for row in (a, b)]
    splits = {"every cause": TWIN_CAUSES, **GROUPS, **{cause.value: (cause,) for cause in TWIN_CAUSES}}
    parts = {name: [row for row in kept if row.cause in causes] for name, causes in splits.items() if name != LONE}
    return {name: section(part, lambda row: not row.satisfactory) for name, part in parts.items()}


def unpaired(rows: Sequence[Row]) -> dict[str, object]:
    """Clips without a twin: matched ones, by what is wrong, all kinds, and by the kind that was meant."""
    good = [row for row in rows if row.kind is Kind.CORONARY and row.satisfactory]
    bad = [row for row in rows if row.kind in NATIVE and not row.satisfactory]
    native = [row for row in rows if row.kind in NATIVE]
    seen = {"matched": [*good, *bad]}
    seen |= {name: [*good, *(row for row in bad if row.kind in kinds)] for name, kinds in GROUPS.items()}
    seen[Kind.PARTIAL_RECORDING.value] = [*good, *(row for row in bad if row.kind is Kind.PARTIAL_RECORDING)]
    seen["every kind"] = list(rows)
    found = {name: section(part, lambda row: not row.satisfactory) for name, part in seen.items()}
    for name, part in (("matched, as meant", native), ("every kind, as meant", list(rows))):
        found[name] = section(part, lambda row: row.kind is not Kind.CORONARY)
    return {**found, "clips with a device, by kind": {kind.value: _equipped(rows, kind) for kind in Kind}}


def _equipped(rows: Sequence[Row], kind: Kind) -> dict[str, int]:
    lists = [row.sets["devices"] for row in rows if row.kind is kind]
    counts = {thing: int(sum(one[place] for one in lists)) for place, thing in enumerate((*THINGS, "implant"))}
    return {"clips": len(lists), **counts}


def rows_of(plans: Sequence[CinePlan], workers: int) -> list[Row]:
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(measured, plans, chunksize=8))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=280)
    parser.add_argument("--patients", type=int, default=100, help="of the unpaired clips, four to six each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    options = parser.parse_args()
    alone = cohort.balanced(8_000_012, options.patients, twins=0.0)
    report = {
        "pairs": paired(rows_of(twins(options.pairs), options.workers)),
        "unpaired": unpaired(rows_of(alone, options.workers)),
    }
    text = json.dumps(report, indent=1) + "\n"
    print(text, end="")
    if options.json:
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
