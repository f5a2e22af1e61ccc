"""A cohort on disk: one DICOM file per cine and labels.csv. The bytes do not depend on the number of processes."""

import csv
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2

from dicomqc.phantom import dicom, sight
from dicomqc.phantom.cine import render
from dicomqc.phantom.plan import CinePlan
from dicomqc.phantom.sight import Sight

LABELS_FILE: Final = "labels.csv"
_COLUMNS: Final = (
    "patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "kind", "criterion", "eligible",
    "twin", "frames", "frame_rate_hz", "source_rate_hz", "transfer_syntax_uid", "jpeg_quality", "side", "primary_deg",
    "secondary_deg", "heart_rate_bpm",
)  # fmt: skip


def _write_one(item: tuple[CinePlan, Path]) -> Sight:
    cv2.setNumThreads(1)
    planned, path = item
    dicom.write(planned, render(planned), path)
    return sight.judge(planned)


def write(
    plans: Sequence[CinePlan], directory: Path, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Write one DICOM file per plan below `directory` and labels.csv; the files' bytes do not depend on `workers`.

    `progress` is called with (done, total) after each file. Processes are spawned, so callers may hold threads.
    """
    items = [(planned, directory / f"{planned.patient:06d}" / f"{planned.cine:02d}.dcm") for planned in plans]
    for _, path in items:
        path.parent.mkdir(parents=True, exist_ok=True)
    seen: list[Sight] = []

    def note(found: Sight) -> None:
        seen.append(found)
        if progress:
            progress(len(seen), len(items))

    if workers <= 1:
        for item in items:
            note(_write_one(item))
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for found in pool.map(_write_one, items):
                note(found)
    write_labels(items, seen, directory)
    return tuple(path for _, path in items)


def write_labels(items: Sequence[tuple[CinePlan, Path]], seen: Sequence[Sight], directory: Path) -> None:
    """labels.csv: one row per file, paths relative to `directory`."""
    with (directory / LABELS_FILE).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("path", "label", "reason", "visibility_window", "visibility_run", "graded", *_COLUMNS))
        for (planned, path), found in zip(items, seen, strict=True):
            label = "satisfactory" if found.satisfactory else "unsatisfactory"
            where = path.relative_to(directory).as_posix()
            facts = (str(getattr(planned, column)) for column in _COLUMNS)
            writer.writerow((where, label, found.reason, found.window, found.run, found.graded, *facts))
