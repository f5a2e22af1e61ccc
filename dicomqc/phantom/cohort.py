"""Cohorts: which patients have which cines. Label and nuisances come from separate random streams."""

import csv
import hashlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from dicomqc.phantom import dicom
from dicomqc.phantom.cine import render
from dicomqc.phantom.plan import EXPLICIT_VR_LE, JPEG_LOSSLESS_SV1, UNSATISFACTORY, CinePlan, Kind, Stream, generator

LABELS_FILE: Final = "labels.csv"
_STUDY: Final = 1_000_000  # a spawn key that no cine number reaches
_VENDORS: Final = 3


def plan(
    seed: int, patients: int, *, unsatisfactory: float = 0.3, ineligible: float = 0.0, cines: tuple[int, int] = (3, 6)
) -> tuple[CinePlan, ...]:
    """Plan `patients` patients of one study each.

    `unsatisfactory` is the expected share of unsatisfactory cines, `ineligible` of short runs and of 7.5 or 30 fps;
    a study has from `cines[0]` to `cines[1]` cines. The same arguments give the same plan, and more patients only add some.
    """
    planned: list[CinePlan] = []
    for patient in range(patients):
        study = generator(seed, patient, _STUDY)
        count = int(study.integers(cines[0], cines[1] + 1))
        shared = study.random(count) < 0.15
        series = np.cumsum(~shared)
        # The first cine opens the first series even where it was to share one.
        series = series - series[0] + 1
        for cine in range(count):
            number = int(series[cine])
            instance = int((series[:cine] == number).sum()) + 1
            planned.append(_plan_cine(seed, patient, cine, (number, instance), unsatisfactory, ineligible))
    return tuple(planned)


def _uid(seed: int, *key: object) -> str:
    """A UUID-derived UID (PS3.5 B.2) that follows from the seed."""
    digest = hashlib.sha256("/".join(map(str, ("dicomqc.phantom", seed, *key))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _plan_cine(
    seed: int, patient: int, cine: int, place: tuple[int, int], unsatisfactory: float, ineligible: float
) -> CinePlan:
    label = generator(seed, patient, cine, Stream.LABEL)
    kind = UNSATISFACTORY[int(label.integers(len(UNSATISFACTORY)))] if label.random() < unsatisfactory else Kind.CORONARY
    draw = generator(seed, patient, cine, Stream.NUISANCE)
    frames, rate = int(draw.integers(60, 91)), float(draw.choice([15.0, 15.0, 15.0, 1000.0 / 66.67, 1000.0 / 66.0]))
    jpeg, side = draw.random() < 0.6, draw.random() < 0.6
    if draw.random() < ineligible:
        frames, rate = ((int(draw.integers(20, 41)), rate), (frames, 7.5), (frames, 30.0))[int(draw.integers(3))]
    study = generator(seed, patient, _STUDY, 1)
    return CinePlan(
        seed=seed,
        patient=patient,
        cine=cine,
        kind=kind,
        patient_id=f"PHANTOM-{seed}-{patient:06d}",
        patient_name=f"PHANTOM^{patient:06d}",
        study_instance_uid=_uid(seed, patient),
        series_instance_uid=_uid(seed, patient, "series", place[0]),
        sop_instance_uid=_uid(seed, patient, "cine", cine),
        series_number=place[0],
        instance_number=place[1],
        side="left" if side else "right",
        frames=frames,
        frame_rate_hz=rate,
        transfer_syntax_uid=JPEG_LOSSLESS_SV1 if jpeg else EXPLICIT_VR_LE,
        primary_deg=float(np.clip(draw.normal(0.0, 32.0), -60, 65)),
        secondary_deg=float(np.clip(draw.normal(0.0, 20.0), -40, 40)),
        mm_per_pixel=float(draw.uniform(0.23, 0.34)),
        heart_rate_bpm=float(study.uniform(45.0, 130.0)),
        vendor=int(study.integers(_VENDORS)),
    )


def _write_one(item: tuple[CinePlan, Path]) -> Path:
    cv2.setNumThreads(1)
    planned, path = item
    return dicom.write(planned, render(planned), path)


def write(
    plans: Sequence[CinePlan], directory: Path, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Write one DICOM file per plan below `directory` and labels.csv; the files' bytes do not depend on `workers`.

    `progress` is called with (done, total) after each file. Processes are spawned, so callers may hold threads.
    """
    items = [(planned, directory / f"{planned.patient:06d}" / f"{planned.cine:02d}.dcm") for planned in plans]
    for _, path in items:
        path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    if workers <= 1:
        for item in items:
            _write_one(item)
            done += 1
            if progress:
                progress(done, len(items))
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for _ in pool.map(_write_one, items):
                done += 1
                if progress:
                    progress(done, len(items))
    _write_labels(items, directory)
    return tuple(path for _, path in items)


def _write_labels(items: Sequence[tuple[CinePlan, Path]], directory: Path) -> None:
    """labels.csv: one row per file, paths relative to `directory`."""
    columns = (
        "patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "kind", "reason", "eligible",
        "frames", "frame_rate_hz", "transfer_syntax_uid", "side", "primary_deg", "secondary_deg", "heart_rate_bpm",
    )  # fmt: skip
    with (directory / LABELS_FILE).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("path", "label", *columns))
        for planned, path in items:
            label = "satisfactory" if planned.satisfactory else "unsatisfactory"
            writer.writerow((path.relative_to(directory).as_posix(), label, *(str(getattr(planned, c)) for c in columns)))
