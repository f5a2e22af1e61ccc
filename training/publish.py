"""A run's weights to an immutable registry version, with a small simulated golden cine of its own."""

import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from safetensors.torch import load_file

from dicomqc.models import weights
from dicomqc.models.card import Card
from dicomqc.models.registry import ModelVersion
from dicomqc.phantom import cohort, dicom
from dicomqc.phantom.cine import render
from dicomqc.phantom.plan import EXPLICIT_VR_LE, Kind
from dicomqc.sample.display import resize
from training import run as runs
from training.run import METRICS, WEIGHTS, Run

INTENDED_USE: Final = (
    "Demonstration only: trained on simulated angiograms. Its verdicts are not valid for patients and it is no medical device."
)
_GOLDEN_SIZE: Final = 256
_GOLDEN_SEED: Final = 47


def publish(run: Run, registry: Path) -> ModelVersion:
    """Write the run's weights as its recipe's name and version below `registry`; an existing version raises ConfigError."""
    metrics = json.loads((run.folder / METRICS).read_text(encoding="utf-8"))
    training = {
        "recipe": json.loads(json.dumps(run.recipe.to_json())),
        "seed": run.seed,
        "data": "dicomqc.phantom, simulated angiograms; no patient's image was used",
        "splits": json.loads((run.folder / "splits.json").read_text(encoding="utf-8")),
        "environment": runs.environment(),
    }
    draft = Card(
        name=run.recipe.name,
        version=run.recipe.version,
        architecture=run.recipe.model,
        spec=run.recipe.spec,
        threshold=metrics["threshold"],
        metrics=metrics,
        training=training,
        licence="Apache-2.0",
        intended_use=INTENDED_USE,
        demonstration=True,
        created=datetime.now(UTC).date().isoformat(),
    )
    with tempfile.TemporaryDirectory() as folder:
        return weights.write_version(
            registry,
            draft,
            state_dict=load_file(run.folder / WEIGHTS),
            golden_dcm=golden(run, Path(folder) / "golden.dcm"),
        )


def golden(run: Run, path: Path) -> Path:
    """A simulated coronary cine, uncompressed, just long enough for the spec and small enough to ship with the weights."""
    plan = replace(
        cohort.plan(_GOLDEN_SEED, 1)[0],
        kind=Kind.CORONARY,
        frames=run.recipe.spec.last_frame,
        frame_rate_hz=run.recipe.spec.frame_rate_hz,
        transfer_syntax_uid=EXPLICIT_VR_LE,
    )
    return dicom.write(plan, resize(render(plan), _GOLDEN_SIZE), path)
