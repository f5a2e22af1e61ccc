"""A model version with seeded, untrained weights, for tests that need a model but no judgement."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from dicomqc.models import weights, zoo
from dicomqc.models.card import Card
from dicomqc.models.registry import ModelVersion
from dicomqc.phantom import cohort, dicom
from dicomqc.phantom.cine import render
from dicomqc.phantom.plan import EXPLICIT_VR_LE
from dicomqc.sample.spec import X3D_S


@cache
def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return zoo.build("x3d_s").state_dict()


def publish(root: Path, *, name: str = "x3d-s-untrained", version: str = "1.0.0", demonstration: bool = False) -> ModelVersion:
    """Write such a version below `root`."""
    plan = replace(cohort.plan(1, 1)[0], frames=48, transfer_syntax_uid=EXPLICIT_VR_LE)
    golden = dicom.write(plan, render(plan)[:, ::2, ::2], root / "golden.dcm")
    try:
        return weights.write_version(
            root,
            Card(
                name=name,
                version=version,
                architecture="x3d_s",
                spec=X3D_S,
                threshold=0.5,
                metrics={},
                training={"seed": 0},
                licence="Apache-2.0",
                intended_use="tests",
                demonstration=demonstration,
                created="2026-11-24",
            ),
            state_dict=_state(),
            golden_dcm=golden,
        )
    finally:
        golden.unlink()
