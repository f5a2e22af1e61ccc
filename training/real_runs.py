"""Whether weights carry over to many real runs of which the frames are at hand: each, and what is made of its own frames.

The runs are read from a table; nothing of them trains. They need not be what the node would take: they are brought to 15 fps.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dicomqc.core.cine import Refused
from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome, outcome_of
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.display import display_lut, to_display
from dicomqc.sample.header import read_header
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.engine import tested
from training import carryover, files
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
_LONGEST_LABEL: Final = 40
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


def listed(table: Path, part: str) -> list[Real]:
    """The runs of `part` in a CSV with COLUMNS whose label is one of the two. Raises ConfigError, OSError."""
    with table.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ConfigError(f"{table}: no column {', '.join(missing)}")
        outcomes = {outcome.value for outcome in Outcome}
        rows = [(number, row) for number, row in enumerate(reader, 2) if row["part"] == part and row["label"] in outcomes]
    if not rows:
        raise ConfigError(f"{table}: no run of the part {part!r} with a label")
    return [_real(table, number, row) for number, row in rows]


def _real(table: Path, number: int, row: dict[str, str]) -> Real:
    try:
        keys = (int(row["first_key"]), int(row["last_key"])) if row["first_key"] else None
        rate, bare, wanted = float(row["rate"]), int(row["bare"]), Outcome(row["label"])
    except ValueError as error:
        raise ConfigError(f"{table}: line {number}: {str(error)[:_LONGEST_LABEL]}") from None
    if not (0 < rate < math.inf and bare >= 0):
        raise ConfigError(f"{table}: line {number}: rate must be above 0 and bare not below")
    return Real(name=row["run"], source=row["source"], rate=rate, bare=bare, keys=keys, wanted=wanted)


def frames(real: Real, folder: Path) -> Frames:
    """All frames of a run in display grey uint8 [T,H,W], of a folder of pictures or a DICOM file.

    Raises ConfigError, OSError.
    """
    path = folder / real.source
    if path.is_dir():
        names = sorted(one for one in path.iterdir() if one.suffix.lower() in _PICTURES)
        read = [np.asarray(cv2.imread(str(one), cv2.IMREAD_GRAYSCALE)) for one in names]
        # What is no picture is read as null, whose array has no sides.
        if len(shapes := {one.shape for one in read}) != 1 or () in shapes:
            raise ConfigError(f"{path}: no pictures, or not all of one size")
        return np.stack(read)
    inspected = read_header(path)
    stored = inspected if isinstance(inspected, Refused) else decode_frames(path, inspected, range(1, inspected.shape[2] + 1))
    if isinstance(inspected, Refused) or isinstance(stored, Refused):
        raise ConfigError(f"{path}: not to be decoded: {stored}")
    return to_display(stored, display_lut(inspected.voi, inspected.stored))


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
