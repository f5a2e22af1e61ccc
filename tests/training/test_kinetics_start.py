"""`fit --init X3D_S.pyth`: Kinetics weights from a local file, with the inputs that they were trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dicomqc.core.errors import ConfigError
from dicomqc.models import kinetics, zoo
from training import fitting
from training.recipe import Recipe, load

RECIPES = Path(__file__).resolve().parents[2] / "config" / "training"


def _recipe(**spec: object) -> Recipe:
    loaded = load(RECIPES / "x3d_s.yaml")
    return replace(loaded, spec=replace(loaded.spec, **spec))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("kinetics") / "X3D_S.pyth"
    torch.save({"model_state": zoo.build("x3d_s", num_classes=400).state_dict()}, path)
    return path


def test_a_run_begins_with_the_files_weights_and_a_fresh_last_layer(file: Path) -> None:
    start = fitting.first_weights(str(file), _recipe(normalisation="fixed"), file.parent)
    assert start is not None
    published = torch.load(file, weights_only=True)["model_state"]
    assert {k for k in start if not torch.equal(start[k], published[k])} == kinetics._OWN


def test_kinetics_weights_are_no_judge_as_they_are(file: Path) -> None:
    untrained = replace(_recipe(normalisation="fixed"), phases=())
    with pytest.raises(ConfigError, match="have no last layer for this label"):
        fitting.first_weights(str(file), untrained, file.parent)


def test_inputs_of_another_normalisation_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="normalisation fixed"):
        fitting.first_weights(str(file), _recipe(), file.parent)
