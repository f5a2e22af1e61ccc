"""Where clips come from: DICOM files through `dicomqc.sample`, the node's own path, or phantom plans rendered straight away.

Both give the same pixels for the same cine, which a test holds.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomqc import phantom, sample
from dicomqc.core.cine import Refused
from dicomqc.phantom import cohort, dicom, files, motion, scene, sight
from dicomqc.phantom.cine import shown
from dicomqc.phantom.plan import NATIVE, CinePlan, Kind
from dicomqc.phantom.sight import Sight
from dicomqc.sample.display import resize
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import FrameSpec
from training.data.cines import FRAMES, Clips, Item, Loaded, Progress, cache, code_digest, widened
from training.data.headers import Person, hashed
from training.data.manifest import Entry
from training.files import read_json, write_json

_DIGESTS: Final = "digests.json"
_PANNED_PX: Final = 16.0  # of 512: the least way of the table within the sampled frames that is called panning


def _folder(module: object) -> Path:
    return Path(str(module.__file__)).parent  # type: ignore[attr-defined]


def from_files(
    entries: Sequence[Entry], spec: FrameSpec, folder: Path, *, margin: int, workers: int, progress: Progress | None = None
) -> Clips:
    """The clips of admitted DICOM files; those whose pixels the node refuses are left out."""
    digests = _file_digests([entry.path for entry in entries], folder)
    items = [
        Item(
            key=f"{digest} {entry.label.value} {entry.patient} {entry.kind} {entry.twin} {entry.split}",
            source=entry.path,
            facts={
                "id": digest[:16],
                "label": entry.label.value,
                "patient": entry.patient,
                "kind": entry.kind or entry.label.value,
                "twin": entry.twin,
                "split": entry.split,
                "graded": "graded" if entry.graded else "",
                "vendor": entry.vendor,
            },
        )
        for entry, digest in zip(entries, digests, strict=True)
    ]
    load = partial(_sampled, wide=widened(spec, margin))
    code = code_digest(_folder(sample))
    return cache(items, load, spec, folder, margin=margin, code=code, workers=workers, progress=progress)


def _sampled(item: Item, wide: FrameSpec) -> Loaded:
    # The file was admitted by the spec itself; where only the jitter's frames lie beyond its end, the last is repeated.
    found = sample_cine(item.source, wide, short="pad")
    if isinstance(found.decision, Refused):
        return Loaded(frames=None, refused=found.decision.reason.value)
    return Loaded(frames=found.frames)


def _file_digests(paths: Sequence[Path], folder: Path) -> list[str]:
    """SHA-256 of each file, remembered by path, size and time of change, so that a second start reads none again."""
    memory = folder / _DIGESTS
    known: dict[str, str] = read_json(memory) if memory.exists() else {}
    found, before = [], len(known)
    for path in paths:
        stat = path.stat()
        name = f"{path} {stat.st_size} {stat.st_mtime_ns}"
        if name not in known:
            with path.open("rb") as handle:
                known[name] = hashlib.file_digest(handle, "sha256").hexdigest()
        found.append(known[name])
    if len(known) > before:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(memory, known)
    return found


def simulated(
    seed: int, patients: int, *, twins: float, unsatisfactory: float, ineligible: float = 0.0
) -> tuple[CinePlan, ...]:
    """The simulated cohort that a recipe asks for: balanced and all eligible where it has `twins`, else with its share."""
    if twins > 0:
        return cohort.balanced(seed, patients, twins=twins)
    return cohort.plan(seed, patients, unsatisfactory=unsatisfactory, ineligible=ineligible)


def from_plans(
    plans: Sequence[CinePlan], spec: FrameSpec, folder: Path, *, margin: int, workers: int, progress: Progress | None = None
) -> Clips:
    """The clips of simulated cines, rendered without a file and labelled by what can be seen in them."""
    items = [
        Item(
            key=hashlib.sha256(repr(plan).encode()).hexdigest(),
            source=plan,
            facts={
                "id": plan.sop_instance_uid,
                "patient": plan.patient_id,
                "kind": plan.kind.value,
                "twin": plan.twin,
                "vendor": str(plan.vendor),
            },
        )
        for plan in plans
    ]
    load = partial(_rendered, wide=widened(spec, margin))
    return cache(items, load, spec, folder, margin=margin, code=simulator(), workers=workers, progress=progress)


def person(plan: CinePlan) -> Person:
    """Who a simulated cine is of, as its header would tell."""
    ds = Dataset()
    dicom.patient_and_study(ds, plan)
    return Person(
        patient=hashed(plan.patient_id),
        study=hashed(plan.study_instance_uid),
        age_years=float(ds.PatientAge.removesuffix("Y")),
        sex=ds.PatientSex,
        vendor=ds.Manufacturer.upper(),
    )


def simulator() -> str:
    """Hex SHA-256 of the code that makes the pixels of simulated clips."""
    return code_digest(_folder(sample), _folder(phantom))


def _rendered(item: Item, wide: FrameSpec) -> Loaded:
    frames, facts = rendered(item.source, wide)
    return Loaded(frames=frames, facts=facts)


def rendered(plan: CinePlan, spec: FrameSpec) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """The frames that `spec` samples, uint8 [K,S,S], and what can be seen in the cine: label, visibilities, near misses."""
    # As `sample` pads: where the jitter's frames lie beyond the end, the last one is repeated.
    numbers = [min(number, plan.frames) for number in spec.frame_numbers()]
    seen = sight.judge(plan)
    facts = {
        "label": "satisfactory" if seen.satisfactory else "unsatisfactory",
        "graded": "graded" if seen.graded else "",
        "window": f"{seen.window:.4f}",
        "run": f"{seen.run:.4f}",
        "shares": " ".join(f"{share:.4f}" for share in seen.shares),
        "near": ";".join(near_misses(plan)) if seen.satisfactory else "",
    }
    return resize(shown(plan, numbers), spec.size), facts


def near_misses(plan: CinePlan) -> tuple[str, ...]:
    """What makes a cine that came out satisfactory resemble one that did not, as far as plan and scene tell."""
    if plan.kind is not Kind.CORONARY:
        return (f"meant {plan.kind.value}",)
    built = scene.build(plan)
    found = [*([] if plan.cause is None else [f"twin of {plan.cause.value}"]), *built.present]
    if built.covers is not None:
        found.append("implant beside the vessels")
    shows = motion.source_numbers(plan)
    ways = [built.motion.table_px((shows[number - 1] - 1) / plan.frame_rate_hz) for number in sight.SAMPLED]
    if max(np.ptp(np.array(ways), axis=0)) >= _PANNED_PX:
        found.append("panning")
    return tuple(found)


def write_labels(plans: Sequence[CinePlan], clips: Clips, folder: Path) -> Path:
    """labels.csv for clips that `from_plans` made of `plans` below `folder`, with the columns of the DICOM files' one.

    A path names the cache and the clip's place in it, so that nobody takes it for a file.
    """
    if clips.folder is None:
        raise ValueError("these clips lie in no cache")
    places = [(plan, clips.folder / f"{FRAMES}[{row}]") for row, plan in enumerate(plans)]
    seen = [_sight(plan, facts) for plan, facts in zip(plans, clips.facts, strict=True)]
    files.write_labels(places, seen, folder)
    return folder / files.LABELS_FILE


def _sight(plan: CinePlan, facts: Mapping[str, str]) -> Sight:
    if "run" not in facts:
        # A cache of an earlier version says less.
        return sight.judge(plan)
    window, run = float(facts["window"]), float(facts["run"])
    return Sight(window=window, run=run, native=plan.kind in NATIVE, meant=plan.reason)
