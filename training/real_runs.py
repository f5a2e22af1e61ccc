"""Whether weights carry over to many real runs of which the frames are at hand: each, and what is made of its own frames.

The runs are read from a table; nothing of them trains. They need not be what the node would take: they are brought to 15 fps.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome, outcome_of
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.engine import tested
from training import carryover, carryover_check, files
from training import noise as noises
from training.carryover import Clip, Variant
from training.complexity_tables import aligned
from training.noise import Frames

COLUMNS: Final = ("run", "source", "rate", "bare", "first_key", "last_key", "label", "part", "why")
KEYS_LOOPED: Final = "key frames to and fro"
KEY_MOVED: Final = "one key frame, moving"
_RATE_HZ: Final = 7.5
_SHOWN: Final = 16  # frames at that rate: the 32 of 15 fps
_FIRST: Final = 7  # 0-based place of frame 16 of 15 fps
_SLOWEST_HZ: Final = 1
_FASTEST_HZ: Final = 120
_LEAST_SIDE: Final = 64
_COPY: Final = re.compile(r" \(\d+\)$")
_LONGEST_ERROR: Final = 40
_PICTURES: Final = (".jpg", ".jpeg", ".png")
_HEADER: Final = ("cine", "must be", "cines", "right", "right under all variants", "lowest logit", "median", "highest logit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """One run: where its frames lie, how many come a second, how many at its beginning show no contrast, and what it must be.

    `keys` are the first and the last, 0-based, of the frames that show the tree best; null where nobody told them.
    """

    name: str
    source: str
    rate: float
    bare: int
    keys: tuple[int, int] | None
    wanted: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A cine of a run, and its logits [V] by variant; `right` [V] tells which verdicts are."""

    run: str
    kind: str
    wanted: Outcome
    logits: NDArray[np.float64]
    right: NDArray[np.bool_]


def listed(table: Path, part: str) -> tuple[list[Real], int]:
    """The runs of `part` in a CSV with COLUMNS whose label is one of the two, and how many of it have another or none.

    Raises ConfigError, OSError.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="", skipinitialspace=True)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise ConfigError(f"{table}: no column {', '.join(missing)}")
            rows = [(number, row) for number, row in enumerate(reader, 2) if row["part"] == part]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{table}: no CSV in UTF-8: {error}") from None
    outcomes = {outcome.value for outcome in Outcome}
    found = [_real(table, number, row) for number, row in rows if row["label"] in outcomes]
    if not found:
        raise ConfigError(f"{table}: no run of the part {part!r} with a label")
    if twice := {one.name for one in found if sum(other.name == one.name for other in found) > 1}:
        raise ConfigError(f"{table}: more than one run is named {', '.join(sorted(twice))}")
    return found, len(rows) - len(found)


def _real(table: Path, number: int, row: dict[str, str]) -> Real:
    try:
        keys = (int(row["first_key"]), int(row["last_key"])) if row["first_key"] or row["last_key"] else None
        rate, bare = float(row["rate"]), int(row["bare"])
    except ValueError as error:
        raise ConfigError(f"{table}: line {number}: {str(error)[:_LONGEST_ERROR]}") from None
    if not _SLOWEST_HZ <= rate <= _FASTEST_HZ:
        raise ConfigError(
            f"{table}: line {number}: a rate of {rate:g} frames a second is not from {_SLOWEST_HZ} to {_FASTEST_HZ}"
        )
    if bare < 0 or (keys and not bare <= keys[0] <= keys[1]):
        raise ConfigError(f"{table}: line {number}: wanted are 0 ≤ bare ≤ first_key ≤ last_key")
    return Real(name=row["run"], source=row["source"], rate=rate, bare=bare, keys=keys, wanted=Outcome(row["label"]))


def frames(real: Real, folder: Path) -> Frames:
    """All frames of a run in display grey uint8 [T,H,W], of a folder of pictures or a DICOM file.

    Pictures come in the order of the numbers in their names; a copy ("name (1)") is left out. Raises ConfigError, OSError.
    """
    path = folder / real.source
    every = _pictures(path) if path.is_dir() else carryover_check.read(path)
    last = max(real.bare, real.keys[1] + 1 if real.keys else 1)
    if last > len(every):
        raise ConfigError(f"{real.name}: bare or last_key lies beyond its {len(every)} frames")
    if min(every.shape[1:]) < _LEAST_SIDE:
        raise ConfigError(f"{real.name}: frames of {every.shape[2]} × {every.shape[1]} pixels are too small")
    return every


def _pictures(folder: Path) -> Frames:
    names = [one for one in folder.iterdir() if one.suffix.lower() in _PICTURES and not one.name.startswith(".")]
    names = [one for one in names if not _COPY.search(one.stem) or one.with_stem(_COPY.sub("", one.stem)) not in names]
    names.sort(key=lambda one: ([int(number) for number in re.findall(r"\d+", one.stem)], one.name))
    read = [np.asarray(cv2.imread(str(one), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)) for one in names]
    for name, picture in zip(names, read, strict=True):
        # What is no picture is read as null, whose array has no sides.
        if picture.dtype != np.uint8 or picture.shape != read[0].shape or picture.ndim == 0:
            raise ConfigError(f"{name}: no picture of 8 bits, or not of the first one's size")
    if not read:
        raise ConfigError(f"{folder}: no pictures")
    return np.stack(read)


def cines(real: Real, every: Frames, seed: int) -> Iterator[Clip]:
    """The run and what is made of it, at 15 fps, 32 frames each.

    The run is its frames 16 to 47 at 15 fps, or its last 32; its key frames are played to and fro, and the middle one moves;
    of its frames before contrast (two or more) the same is made, and of the last but one. Motion and noise are carryover's.
    """
    step = real.rate / _RATE_HZ
    shown = every[np.rint(np.arange(0, len(every) - 0.5, step)).astype(int)] if step != 1 else every
    start = _FIRST if len(shown) >= _FIRST + _SHOWN else max(len(shown) - _SHOWN, 0)
    yield Clip(kind=carryover.THE_RUN, wanted=real.wanted, cine=_looped(shown[start : start + _SHOWN]))
    noise = noises.measured(carryover.to_and_fro(shown, max(noises.LEAST_FRAMES, len(shown)))[: noises.LEAST_FRAMES])
    if real.keys:
        first, last = real.keys
        yield Clip(kind=KEYS_LOOPED, wanted=real.wanted, cine=_looped(every[first : last + 1]))
        held = carryover.moving(every[(first + last) // 2], 2 * _SHOWN, noise, seed)
        yield Clip(kind=KEY_MOVED, wanted=real.wanted, cine=held)
    bare = int(real.bare / step)
    if bare > 1:
        yield Clip(kind=carryover.BARE_LOOPED, wanted=Outcome.UNSATISFACTORY, cine=_looped(shown[:bare]))
    if bare:
        held = carryover.moving(shown[max(bare - 2, 0)], 2 * _SHOWN, noise, seed)
        yield Clip(kind=carryover.BARE_MOVED, wanted=Outcome.UNSATISFACTORY, cine=held)


def _looped(block: Frames) -> Frames:
    return np.repeat(carryover.to_and_fro(block, _SHOWN), 2, axis=0)


def variants(spec: FrameSpec, seed: int) -> tuple[Variant, ...]:
    """Those of carryover but for the start, which does not move: the first is no change."""
    apart = (replace(one, shift=0) for one in carryover.variants(spec, spec.last_frame, spec.first, seed))
    return tuple(dict.fromkeys(apart))


def sampled(cine: Frames, variant: Variant, spec: FrameSpec) -> Frames:
    """What the node would sample uint8 [K,S,S] of a cine of `cines` that begins at its first sampled frame."""
    return carryover.sampled(np.concatenate([cine[:1].repeat(spec.first - 1, axis=0), cine]), variant, spec)


def score(runs: Sequence[Real], folder: Path, model: ModelVersion, cache: Path, *, seed: int, device: str) -> list[Scored]:
    """Every cine of every run under every variant, as the node scores with a version's own engine. Raises as `frames` does."""
    spec = model.card.spec
    if (spec.first, spec.window, spec.frame_rate_hz) != (2 * _FIRST + 2, 2 * _SHOWN, 2 * _RATE_HZ):
        raise ConfigError(f"{model.ref}: samples other frames than 16 to 47 at 15 a second")
    for real in runs:
        frames(real, folder)  # refused before the first is scored
    scorer = tested(model, device=device, precision="fp32", cache=cache)
    found = []
    for real in runs:
        for clip in cines(real, frames(real, folder), seed):
            scores = scorer.score(np.stack([sampled(clip.cine, variant, spec) for variant in variants(spec, seed)]))
            right = [outcome_of(one.p_unsatisfactory, model.card.threshold) is clip.wanted for one in scores]
            logits = np.array([one.logit for one in scores])
            found.append(Scored(run=real.name, kind=clip.kind, wanted=clip.wanted, logits=logits, right=np.array(right)))
    return found


def write(path: Path, found: Sequence[Scored]) -> None:
    """The logits as CSV: a line a cine, a column a variant."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("run", "cine", "label", *(f"variant_{number}" for number in range(len(found[0].logits)))))
    rows.writerows((one.run, one.kind, one.wanted.value, *(f"{value:.4f}" for value in one.logits)) for one in found)
    files.write_text(path, text.getvalue())


def rendered(found: Sequence[Scored]) -> str:
    """A line for every sort of cine, and what all say together, as text."""
    kinds = dict.fromkeys((one.kind, one.wanted) for one in found)
    table = [_row(kind, wanted, [one for one in found if (one.kind, one.wanted) == (kind, wanted)]) for kind, wanted in kinds]
    right = np.stack([one.right for one in found])
    counts = f"right as they are {right[:, 0].sum()} of {len(right)}, under all variants {right.sum()} of {right.size}"
    return "\n".join((aligned(_HEADER, table), "", counts, *_apart(found)))


def _row(kind: str, wanted: Outcome, rows: Sequence[Scored]) -> tuple[str, ...]:
    right, logits = np.stack([one.right for one in rows]), np.stack([one.logits for one in rows])
    ends = (f"{value:+.2f}" for value in (logits.min(), np.median(logits), logits.max()))
    return kind, wanted.value, str(len(rows)), str(right[:, 0].sum()), f"{right.sum()} of {right.size}", *ends


def _apart(found: Sequence[Scored]) -> Iterator[str]:
    logits = np.stack([one.logits for one in found])
    bad = np.array([one.wanted is Outcome.UNSATISFACTORY for one in found])
    if bad.all() or not bad.any():
        return
    for what, of in (("as they are", logits[:, :1]), ("under all variants", logits)):
        auc = roc_auc_score(np.repeat(bad, of.shape[1]), of.ravel())
        yield f"{what}: AUC {auc:.4f}, lowest negative less highest positive {of[bad].min() - of[~bad].max():+.2f}"
