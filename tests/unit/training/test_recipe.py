from pathlib import Path

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import X3D_S
from training.recipe import load

_SHIPPED = Path(__file__).resolve().parents[3] / "config" / "training" / "x3d_s_demo.yaml"


def test_the_shipped_recipe_is_the_papers_input_and_a_fixed_number_of_steps() -> None:
    recipe = load(_SHIPPED)
    assert recipe.spec == X3D_S
    assert recipe.spec.frame_numbers() == tuple(range(16, 47, 2))
    assert recipe.steps == sum(phase.steps for phase in recipe.phases)
    last = recipe.phases[-1]
    assert (last.frames, last.size) == (16, 160)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("dropout:", "droput:", "droput"),
        ("size: 80", "sise: 80", "phases[0].sise"),
        ("flip: 0.5", "flop: 0.5", "augment.flop"),
        ("size: 160}", "sise: 160}", "sise"),
        ("patients: ", "# patients: ", "patients"),
    ],
)
def test_an_unknown_or_missing_key_is_refused_by_its_path(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = _SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=key.replace("[", r"\[").replace("]", r"\]")):
        load(path)


def test_a_recipe_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: not YAML"):
        load(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("patients: 260", "patients: -1", "patients"),
        ("patients: 260", "patients: x", "patients"),
        ("steps: 450", "steps: 0", "phases[0].steps"),
        ("rotate_deg: 10.0", "rotate_deg: x", "rotate_deg"),
        ("model: x3d_s", "model: nope", "model"),
        ("name: x3d-s-demo", "name: ../x", "names and versions"),
    ],
)
def test_an_unusable_figure_is_refused_before_a_cohort_is_rendered(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = _SHIPPED.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "recipe.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=key.replace("[", r"\[").replace("]", r"\]")):
        load(tmp_path / "recipe.yaml")
