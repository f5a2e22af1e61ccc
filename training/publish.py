"""A run's weights to an immutable registry version, with a small simulated golden cine of its own."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry as published
from dicomqc.models import weights
from dicomqc.models.card import Card
from dicomqc.models.registry import ModelVersion
from dicomqc.phantom import cohort, dicom
from dicomqc.phantom.cine import render
from dicomqc.phantom.plan import EXPLICIT_VR_LE, Kind
from dicomqc.sample.display import resize
from training import files
from training import run as runs
from training.run import METRICS, SPLITS, WEIGHTS, Run

INTENDED_USE: Final = (
    "Demonstration only: trained on simulated angiograms. Its verdicts are not valid for patients and it is no medical device."
)
NOT_DECLARED: Final = (
    "Demonstration only: whoever trained these weights declared no intended use. Its verdicts are not valid for patients."
)
# What the simulator draws from, for the card; docs/phantom.md has all of it.
GENERATOR: Final = {
    "display": (
        "gamma 0.5 to 2 or a random monotone curve; grey mean 70 to 160 (more where the chest would be black), "
        "spread 12 to 80 before vessels are kept within their range"
    ),
    "noise": "0.3 to 10.5 grey levels in mid-picture, less where vessels drown; white to coloured, half filtered in time",
    "blur": "0 to 2 px at 512, sharpened or not",
    "compression": "half of the cines through JPEG of quality 40 to 100",
    "vessels": "a full 3 mm vessel takes 9 to 100 % of the display's range",
    "field": "150 to 250 mm, 0 to 4 shutters, soft or sharp",
    "time": "7.5, 15 and 30 fps brought to 15; heart 45 to 130 a minute; 50 to 95 frames",
    "label": "satisfactory from 60 % of the native tree above 1 mm, up to an occlusion, seen in 5 of 16 frames",
}
LIMITS: Final = (
    "Never validated on patients. Not simulated: biplane and rotational runs, children, anomalous coronary origins, "
    "aneurysms; of devices only a few. A run that is one still picture is called unsatisfactory more often than what it "
    "shows. Versions that ship with dicomqc were checked on real runs of few laboratories, one of which had a say in those up "
    "to 7.0.0; 8.0.0 does not keep every check (docs/benchmarks.md)."
)
LIMITS_OF_OWN: Final = (
    "Tested on what its metrics list and nowhere else: other laboratories, equipment and ways of display are untried."
)
_GOLDEN_SIZE: Final = 256
_GOLDEN_SEED: Final = 47
_GOLDEN_PATIENTS: Final = 20


def publish(run: Run, registry: Path, *, name: str = "", version: str = "", intended_use: str = "") -> ModelVersion:
    """Write the run's weights below `registry`, by default as its recipe's name and version.

    Without an `intended_use` the card says demonstration, which a node does not enforce by. Raises ConfigError for a version
    that exists, a run that is not evaluated, and an intended use of weights that saw simulated cines only.
    """
    if not (run.folder / METRICS).exists():
        raise ConfigError(f"{run.folder}: not evaluated yet; `evaluate` it first")
    simulated = run.manifest is None
    if simulated and intended_use:
        raise ConfigError("publish: weights that saw simulated angiograms only have no use with patients")
    metrics = files.read_json(run.folder / METRICS)
    draft = Card(
        name=name or run.recipe.name,
        version=version or run.recipe.version,
        architecture=run.recipe.model,
        spec=run.recipe.spec,
        threshold=metrics["threshold"],
        metrics=metrics,
        training=_training(run),
        licence="Apache-2.0" if simulated else "as its owner says",
        intended_use=intended_use or (INTENDED_USE if simulated else NOT_DECLARED),
        demonstration=not intended_use,
        created=datetime.now(UTC).date().isoformat(),
    )
    with tempfile.TemporaryDirectory() as folder:
        return weights.write_version(
            registry,
            draft,
            state_dict=load_file(run.folder / WEIGHTS),
            golden_dcm=golden(run, Path(folder) / "golden.dcm"),
        )


def _training(run: Run) -> dict[str, Any]:
    """Recipe, seed, data, splits and software, for people."""
    data = "dicomqc.phantom, simulated angiograms; no patient's image was used"
    init, since = runs.ancestry(run)
    earlier = [
        {
            "recipe": one.recipe.to_json(),
            "seed": one.seed,
            "fit_seed": one.fit_seed,
            "simulated": one.manifest is None,
            **({"unseen_seed": one.unseen_seed} if one.manifest is None else {}),
            # A folder may have been kept without its weights, which are large.
            "weights_sha256": published.sha256(one.folder / WEIGHTS) if (one.folder / WEIGHTS).exists() else None,
        }
        for one in since
    ]
    return {
        "recipe": run.recipe.to_json(),
        "seed": run.seed,
        "fit_seed": run.fit_seed,
        "data": data if run.manifest is None else "a manifest of labelled DICOM files; see the run folder",
        "init": init,
        "earlier": earlier,
        **({"generator": GENERATOR, "limits": LIMITS} if run.manifest is None else {"limits": LIMITS_OF_OWN}),
        "splits": files.read_json(run.folder / SPLITS),
        "environment": runs.environment(),
    }


def golden(run: Run, path: Path) -> Path:
    """A simulated coronary cine, uncompressed, just long enough for the spec and small enough to ship with the weights."""
    drawn = cohort.plan(_GOLDEN_SEED, _GOLDEN_PATIENTS, unsatisfactory=0.0)
    plan = replace(
        next(one for one in drawn if one.kind is Kind.CORONARY),
        frames=run.recipe.spec.last_frame,
        frame_rate_hz=run.recipe.spec.frame_rate_hz,
        transfer_syntax_uid=EXPLICIT_VR_LE,
    )
    return dicom.write(plan, resize(render(plan), _GOLDEN_SIZE), path)
