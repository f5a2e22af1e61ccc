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
