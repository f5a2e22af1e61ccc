"""Local copies of public sets, and the node's reviews, to a manifest. What each label can say is in docs/training.md.

Frames that are no DICOM are written as DICOM beside the manifest, so that training and node read them alike.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from training.data import convert, manifest
from training.data.headers import hashed
from training.data.manifest import Entry, Label

Say = Callable[[str], None]
_AXES: Final = 3
_WHITE: Final = 255
# The categories of CoronaryDominance. Null: the category does not say whether the vessels can be judged.
DOMINANCE_LABELS: Final[Mapping[str, Label | None]] = {
    "bad quality": Label.UNSATISFACTORY,
    "artifact": None,
    "small diameter": Label.SATISFACTORY,
    "occlusion": Label.SATISFACTORY,
    "normal": Label.SATISFACTORY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What an importer is asked: where the copy lies, where the manifest goes, and what the copy does not tell itself."""

    folder: Path
    out: Path
    frame_rate_hz: float = 15.0
    non_selected_unsatisfactory: bool = False

    @property
    def dicom(self) -> Path:
        """Where converted cines go."""
        return self.out.parent / f"{self.out.stem}-dicom"


def run(source: str, asked: Import, say: Say) -> int:
    """Write the manifest of `source` (a key of SOURCES); returns its rows. Raises ConfigError where nothing can be used."""
    if not asked.folder.is_dir():
        raise ConfigError(f"import: there is no folder {asked.folder}")
    skipped: Counter[str] = Counter()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    entries = list(SOURCES[source](asked, skipped))
    for why, count in sorted(skipped.items()):
        say(f"left out: {count} {why}")
    if not entries:
        raise ConfigError(f"import: {asked.folder} holds nothing that is known of {source}")
    manifest.write(entries, asked.out)
    labels = Counter(entry.label.value for entry in entries)
    say(f"{asked.out}: {len(entries)} cines, {', '.join(f'{n} {label}' for label, n in sorted(labels.items()))}")
    return len(entries)


def _dominance(asked: Import, skipped: Counter[str]) -> Iterator[Entry]:
    """<any folders>/<study>/RCA/*.npz; the category from a folder's name or from the file's flags.

    Only the right artery's views: the category is that of the study as its dominance is read from them.
    """
    for path in sorted(asked.folder.rglob("*.npz")):
        where = path.relative_to(asked.folder)
        sides = {part.upper() for part in where.parts[:-1]} & {"RCA", "LCA"}
        if sides != {"RCA"}:
            skipped["views that are not of the right artery"] += 1
            continue
        try:
            with np.load(path, allow_pickle=False) as found:
                category = _by_folder(where) or _by_flags(found)
                label = DOMINANCE_LABELS.get(category)
                if label is None:
                    skipped[f"views of the category {category or 'unknown'}"] += 1
                    continue
                frames = np.asarray(found["pixel_array"])
        except (ValueError, KeyError, EOFError, OSError, BadZipFile):
            skipped["files that cannot be read"] += 1
            continue
        if why := _no_grey(frames):
            skipped[why] += 1
            continue
        study = where.parts[-3] if len(where.parts) > 2 else where.parts[0]  # noqa: PLR2004 - study, side, file
        name = where.as_posix().removesuffix(".npz")
        yield _converted(asked, name, frames, label, patient=f"dominance/{study}", kind=category)


def _no_grey(frames: NDArray[np.generic]) -> str:
    """Why an array is no display grey [T,H,W] of 0 to 255, which cannot be guessed from another range; empty where it is."""
    if frames.ndim != _AXES or not frames.size:
        return "views that are not frames, rows and columns"
    # Put so that what is no number is not let through.
    if frames.dtype.kind not in "uif" or not (frames.min() >= 0 and frames.max() <= _WHITE):
        return f"views whose values are no numbers from 0 to {_WHITE}"
    return "views whose values are fractions of at most 1" if frames.dtype.kind == "f" and frames.max() <= 1 else ""


def _by_folder(where: Path) -> str:
    names = [part.lower().replace("_", " ").replace("-", " ") for part in where.parts[:-1]]
    # As words, so that "abnormal" and "not normal" are no "normal".
    return next((one for one in DOMINANCE_LABELS for name in names if re.search(rf"(?<!not )(?<!non )\b{one}\b", name)), "")


def _by_flags(found: Mapping[str, NDArray[np.generic]]) -> str:
    """The first category whose flag is set; normal where the flags are there and none is; empty where there are none."""
    flags = {}
    for category in DOMINANCE_LABELS:
        name = f"is_{category.replace(' ', '_')}"
        try:
            flags[category] = bool(found[name])
        except (KeyError, ValueError):
            continue
    if not flags:
        return ""
    return next((category for category, is_set in flags.items() if is_set), "normal")


def _cadica(asked: Import, skipped: Counter[str]) -> Iterator[Entry]:
    """selectedVideos/<patient>/<video>/input/*.png and nonselectedVideos likewise, `input` being optional.

    Selected says that a video was good enough to be annotated. Non-selected does not say why, so it is left out unless asked.
    """
    folders = {path.parent for path in asked.folder.rglob("*.png")}
    for folder in sorted(path for path in folders if path.name.lower() not in {"groundtruth", "masks"}):
        where = folder.relative_to(asked.folder)
        video = where.parent if where.name.lower() == "input" else where
        names = [part.lower().replace("_", "").replace("-", "") for part in where.parts]
        left = any(name.startswith("nonselected") for name in names)
        if not left and not any(name.startswith("selected") for name in names):
            skipped["folders outside selectedVideos and nonselectedVideos"] += 1
            continue
        if left and not asked.non_selected_unsatisfactory:
            skipped["videos that were not selected"] += 1
            continue
        files = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("*.png")))
        frames = [frame for frame in files if frame is not None]
        if len({frame.shape for frame in frames}) != 1:
            skipped["videos whose frames cannot be read or differ in size"] += 1
            continue
        label = Label.UNSATISFACTORY if left else Label.SATISFACTORY
        kind = "non-selected" if left else "selected"
        pictures = np.stack(frames)
        yield _converted(asked, video.as_posix(), pictures, label, patient=f"cadica/{video.parent.name}", kind=kind)


def _converted(asked: Import, name: str, frames: NDArray[np.generic], label: Label, *, patient: str, kind: str) -> Entry:
    path = convert.write(
        np.rint(frames).astype(np.uint8),
        asked.dicom / f"{name}.dcm",
        patient=hashed(patient),
        study=patient,
        name=name,
        frame_rate_hz=asked.frame_rate_hz,
    )
    return Entry(path=path, label=label, patient=hashed(patient), kind=kind)


def _reviews(asked: Import, skipped: Counter[str]) -> Iterator[Entry]:
    """reviews.csv (sop_instance_uid, label[, reason]) joined with export.csv or export.jsonl of `dicomqc ledger export`."""
    paths = _exported(asked.folder)
    with (asked.folder / "reviews.csv").open(newline="", encoding="utf-8-sig") as handle:
        rows = list(csv.DictReader(handle))
    if rows and not {"sop_instance_uid", "label"} <= set(rows[0]):
        raise ConfigError("reviews.csv: the columns sop_instance_uid and label are needed")
    first: dict[str, tuple[int, str]] = {}
    for line, row in enumerate(rows, start=2):
        label = (row["label"] or "").strip().lower()
        if label not in set(Label):
            raise ConfigError(f"reviews.csv line {line}: the label {label!r} is neither satisfactory nor unsatisfactory")
        uid = (row["sop_instance_uid"] or "").strip()
        earlier, said = first.setdefault(uid, (line, label))
        if said != label:
            raise ConfigError(f"reviews.csv line {line}: the cine of line {earlier} again, with another label")
        if earlier != line:
            skipped["reviews that say the same again"] += 1
            continue
        path = paths.get(uid)
        if path is None or not path.is_file():
            skipped["reviewed cines whose bytes the node does not hold"] += 1
            continue
        yield Entry(path=path, label=Label(label), reason=(row.get("reason") or "").strip())


def _exported(folder: Path) -> dict[str, Path]:
    found: list[Mapping[str, str | None]]
    if (folder / "export.jsonl").is_file():
        found = [json.loads(line) for line in (folder / "export.jsonl").read_text(encoding="utf-8").splitlines() if line]
    elif (folder / "export.csv").is_file():
        with (folder / "export.csv").open(newline="", encoding="utf-8-sig") as handle:
            found = list(csv.DictReader(handle))
    else:
        raise ConfigError(f"import: {folder} has neither export.jsonl nor export.csv; write one by `dicomqc ledger export`")
    return {str(row["sop_instance_uid"]): Path(str(row["path"])) for row in found if row.get("path")}


SOURCES: Final[Mapping[str, Callable[[Import, Counter[str]], Iterator[Entry]]]] = {
    "coronary-dominance": _dominance,
    "cadica": _cadica,
    "reviews": _reviews,
}
