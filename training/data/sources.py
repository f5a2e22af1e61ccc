"""Where clips come from: DICOM files through `dicomqc.sample`, the node's own path, or phantom plans rendered straight away.

Both give the same pixels for the same cine, which a test holds.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from dicomqc import phantom, sample
from dicomqc.core.cine import Refused
from dicomqc.phantom import sight
from dicomqc.phantom.cine import shown
from dicomqc.phantom.plan import CinePlan
from dicomqc.sample.display import resize
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import FrameSpec
from training.data.cines import Clips, Item, Loaded, Progress, cache, code_digest, widened
from training.data.manifest import Entry

_DIGESTS: Final = "digests.json"


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
    known: dict[str, str] = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
    found = []
    for path in paths:
        stat = path.stat()
        name = f"{path} {stat.st_size} {stat.st_mtime_ns}"
        if name not in known:
            with path.open("rb") as handle:
                known[name] = hashlib.file_digest(handle, "sha256").hexdigest()
        found.append(known[name])
    folder.mkdir(parents=True, exist_ok=True)
    part = memory.with_suffix(".part")
    part.write_text(json.dumps(known), encoding="utf-8")
    part.replace(memory)
    return found


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
    code = code_digest(_folder(sample), _folder(phantom))
    return cache(items, load, spec, folder, margin=margin, code=code, workers=workers, progress=progress)


def _rendered(item: Item, wide: FrameSpec) -> Loaded:
    plan: CinePlan = item.source
    # As `sample` pads: where the jitter's frames lie beyond the end, the last one is repeated.
    numbers = [min(number, plan.frames) for number in wide.frame_numbers()]
    seen = sight.judge(plan)
    label = "satisfactory" if seen.satisfactory else "unsatisfactory"
    facts = {"label": label, "graded": "graded" if seen.graded else "", "window": f"{seen.window:.4f}"}
    return Loaded(frames=resize(shown(plan, numbers), wide.size), facts=facts)
