"""What is decided of a clip before its kind is looked at says nothing of its label, in clips that have no twin."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicomqc.phantom import cohort, dicom, motion, scene
from dicomqc.phantom.plan import NATIVE, CinePlan, Kind
from tests.support import shortcuts

_MOTIONS: Final = ("squeeze", "twist", "descent_mm", "phase", "systole", "breath_s")
# The label itself, and who it is.
_NO_NUISANCE: Final = frozenset({"kind", "cause", "twin", "seed", "patient", "patient_id", "patient_name"})


def _planned(patients: int = 120) -> tuple[CinePlan, ...]:
    return cohort.balanced(8_000_013, patients, twins=0.0)


def _known(plan: CinePlan) -> dict[str, object]:
    """Every field of the plan, of the header but its pixels, and of the motion."""
    ds = Dataset()
    dicom.patient_and_study(ds, plan)
    dicom._acquisition(ds, plan)
    names = [f.name for f in fields(plan) if f.name not in _NO_NUISANCE and not f.name.endswith("_uid")]
    moves, numbers = motion.draw(plan, beating=True), motion.source_numbers(plan)
    return {
        **{f"plan.{name}": getattr(plan, name) for name in names},
        "plan.transfer_syntax_uid": plan.transfer_syntax_uid,
        **{f"header.{name}": value for name, value in shortcuts.header_fields(ds).items()},
        "motion.pans": len(moves.pans),
        "motion.breath_mm": float(np.linalg.norm(moves.breath_mm)),
        **{f"motion.{name}": getattr(moves, name) for name in _MOTIONS},
        "motion.frames shown once": len(set(numbers)),
        "motion.last frame shown": numbers[-1],
    }


def _told(plans: Sequence[CinePlan]) -> tuple[float, float, str]:
    """How well all fields together and the worst one alone tell the meant kind from a coronary run, and which that is."""
    names, values = shortcuts.table([_known(plan) for plan in plans])
    labels = np.array([plan.kind is not Kind.CORONARY for plan in plans])
    groups = np.array([plan.patient for plan in plans])
    alone = shortcuts.single(values, labels)
    together = max(shortcuts.auc(model, values, labels, groups) for model in shortcuts.models().values())
    return together, float(alone.max()), names[int(alone.argmax())]


def test_neither_header_nor_frame_count_nor_motion_tells_the_label_of_clips_without_a_twin() -> None:
    plans = _planned()
    assert not any(plan.twin for plan in plans)
    together, alone, name = _told(plans)
    assert together <= shortcuts.MOST
    assert alone <= 0.6, name


def test_the_kind_alone_changes_no_field_of_header_or_motion() -> None:
    for plan in _planned(6):
        known = [_known(replace(plan, kind=kind)) for kind in Kind]
        assert all(one == known[0] for one in known)


def test_wires_leads_and_stents_lie_in_a_run_whatever_its_kind() -> None:
    # Sternal wires are another matter: an operation is why there is a graft.
    seen = set()
    others = [kind for kind in Kind if kind is not Kind.PUNCTURE_SITE]
    for number, plan in enumerate(_planned(3)):
        kinds = others if number % 3 == 0 else sorted(NATIVE)
        present = {kind: set(scene.build(replace(plan, kind=kind)).present) for kind in kinds}
        moving = [present[kind] & {"guide wire", "pacing lead", "stent"} for kind in present]
        assert all(one == moving[0] for one in moving)
        assert len({"ECG lead" in present[kind] for kind in NATIVE}) == 1
        seen |= moving[0]
    assert "guide wire" in seen


def _found_out(plans: Sequence[CinePlan]) -> str:
    together, alone, name = _told(plans)
    assert together > shortcuts.MOST
    assert alone > 0.6
    return name


def test_a_cohort_whose_bad_runs_are_longer_is_found_out() -> None:
    longer = [p if p.kind is Kind.CORONARY else replace(p, frames=p.frames + 14) for p in _planned(60)]
    assert _found_out(longer) in ("plan.frames", "motion.frames shown once", "motion.last frame shown")


def test_a_cohort_whose_bad_runs_come_later_in_the_exam_is_found_out() -> None:
    assert _found_out([p if p.kind is Kind.CORONARY else replace(p, series_number=p.series_number + 2) for p in _planned(60)])


def test_a_header_that_looks_at_the_kind_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = dicom._acquisition

    def leaky(ds: Dataset, plan: CinePlan) -> None:
        whole(ds, plan)
        if plan.kind is not Kind.CORONARY:
            ds.KVP = str(int(ds.KVP) + 15)

    monkeypatch.setattr(dicom, "_acquisition", leaky)
    assert _found_out(_planned(60)) == "header.KVP"
