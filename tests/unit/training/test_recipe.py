from pathlib import Path

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import X3D_S
from training.recipe import Recipe, load, write

_FOLDER = Path(__file__).resolve().parents[3] / "config" / "training"
_SHIPPED = _FOLDER / "x3d_s_demo.yaml"


def _with(base: Path, keys: str, folder: Path) -> Recipe:
    """The recipe `base` with other keys."""
    (folder / "recipe.yaml").write_text(f"base: {base}\n{keys}\n", encoding="utf-8")
    return load(folder / "recipe.yaml")


def test_the_shipped_recipe_is_the_papers_input_and_a_fixed_number_of_steps() -> None:
    recipe = load(_SHIPPED)
    assert recipe.spec == X3D_S
    assert recipe.spec.frame_numbers() == tuple(range(16, 47, 2))
    assert recipe.steps(7) == recipe.steps(7000) == sum(phase.steps for phase in recipe.phases)
    last = recipe.phases[-1]
    assert (last.frames, last.size) == (16, 160)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("dropout:", "droput:", "droput"),
        ("size: 160, steps: 700", "sise: 160, steps: 700", "phases[0].sise"),
        ("flip: 0.5", "flop: 0.5", "augment.flop"),
        ("size: 160}", "sise: 160}", "sise"),
        ("learning_rate: ", "# learning_rate: ", "learning_rate"),
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
        ("patients: 1000", "patients: -1", "patients"),
        ("patients: 1000", "patients: x", "patients"),
        ("steps: 700", "steps: 0", "phases[0]: steps or epochs"),
        ("steps: 700", "steps: 700, epochs: 2", "phases[0]: steps or epochs"),
        ("steps: 700", "steps: x", "phases[0].steps"),
        ("frames: 16, size", "frames: 17, size", "phases[0].frames: the spec has 16"),
        ("schedule: carry", "schedule: other", "schedule: one of carry, paper"),
        ("schedule: carry", "schedule: carry\nprecision: bf16", "precision: one of auto, fp32"),
        ("ema: 0.996", "ema: 1.0", "ema: a number of at least 0 and below 1"),
        ("rotate_deg: 10.0", "rotate_deg: x", "rotate_deg"),
        ("clutter: 0.8", "clutter: -1", "clutter"),
        ("calibrate: true", "calibrate: 1", "calibrate: true or false is expected"),
        ("calibrate: true", "shuffled: 1", "shuffled: true or false is expected"),
        (
            "calibrate: true",
            "shuffled: true",
            "shuffled: blank, replay, kind_loss, sight_loss, frame_loss, again_held tell the label",
        ),
        ("local: 0.5", "local: 7", "local: a number of at least 0 and at most 1"),
        ("local: 0.5", "local: 0.5, texture: 2", "texture: a number of at least 0 and at most 1"),
        ("model: x3d_s", "model: nope", "model"),
        ("shares: [0.84, 0.13, 0.03]", "shares: [0.83, 0.13]", "shares: 3 numbers"),
        ("shares: [0.84, 0.13, 0.03]", "shares: [0.83, 0.13, 0.4]", "shares: 3 numbers"),
        ("shares: [0.84, 0.13, 0.03]", "shares: 1.0", "shares: 3 numbers"),
        ("name: x3d-s-demo", "name: ../x", "names and versions"),
    ],
)
def test_an_unusable_figure_is_refused_before_a_cohort_is_rendered(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = _SHIPPED.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "recipe.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=key.replace("[", r"\[").replace("]", r"\]")):
        load(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("again: 0.0", "again_loss: again is needed"),
        ("again: 1.0", "again: a number of at least 0 and below 1"),
        ("again_loss: -1", "again_loss: a number of at least 0"),
        ("again: 0.0\nagain_loss: 0.0\nagain_held: 0.0\nagain_relative: 1.0", "again_relative: again is needed"),
        ("again_relative: -1", "again_relative: a number of at least 0"),
        ("sway: 1", "sway: a number of at least 0 and below 1"),
        ("micro_batch: 3", "micro_batch: again wants an even number"),
        ("phases: [{frames: 8, size: 160, steps: 9, batch: 7}]", r"phases\[0\].batch: again wants an even number"),
    ],
)
def test_second_looks_that_cannot_be_are_refused(tmp_path: Path, keys: str, says: str) -> None:
    assert load(_SHIPPED).again_loss > 0
    with pytest.raises(ConfigError, match=says):
        _with(_SHIPPED, keys, tmp_path)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("blend: 0.0", "ema: reestimate_clips is needed"),
        ("blend: 0.0\nema: 0.0\nmicro_batch: 4", "micro_batch: batch norm wants 8 clips at least, or reestimate_clips"),
    ],
)
def test_what_leaves_batch_norm_without_statistics_is_refused(tmp_path: Path, keys: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _with(_SHIPPED, f"reestimate_clips: 0\n{keys}", tmp_path)
    assert _with(_SHIPPED, f"reestimate_clips: 8\n{keys}", tmp_path).reestimate_clips == 8


_PAPER = {
    "resnet18_2d": (5e-5, 1e-3, 32, 299, 4),
    "resnet152_2d": (5e-5, 1e-3, 32, 299, 4),
    "resnet18_3d": (1e-4, 1e-3, 32, 160, 16),
    "resnet152_3d": (1e-4, 1e-3, 32, 160, 16),
    "x3d_s": (1e-4, 1e-4, 64, 160, 16),
}


@pytest.mark.parametrize("name", _PAPER)
def test_the_papers_recipes_are_its_own(name: str) -> None:
    recipe = load(_FOLDER / f"{name}.yaml")
    (phase,) = recipe.phases
    rate, decay, batch, size, frames = _PAPER[name]
    assert (recipe.learning_rate, recipe.weight_decay) == (rate, decay)
    assert (phase.batch, phase.size, phase.frames) == (batch, size, frames)
    assert (recipe.spec.size, len(recipe.spec.frame_numbers())) == (size, frames)
    assert phase.epochs > 100
    assert (recipe.schedule, recipe.step_epochs, recipe.gamma) == ("paper", 30, 0.1)
    assert recipe.ema == recipe.kind_loss == recipe.warmup == 0


@pytest.mark.parametrize("name", _PAPER)
def test_two_cores_take_the_papers_cohort_and_the_same_part_of_it_for_every_model(name: str) -> None:
    full, cut = load(_FOLDER / f"{name}.yaml"), load(_FOLDER / "cpu" / f"{name}.yaml")
    assert (cut.cohort, cut.train_clips, cut.unseen_patients, cut.twins) == ("table1", 240, 12, 0.0)
    assert (cut.model, cut.spec, cut.shares, cut.unsatisfactory) == (full.model, full.spec, full.shares, full.unsatisfactory)
    assert full.train_clips == 0


@pytest.mark.parametrize(("phases", "says"), [("4", "a list is expected"), ("[4]", r"phases\[0\]: a mapping")])
def test_phases_are_a_list_of_phases(tmp_path: Path, phases: str, says: str) -> None:
    base = f"base: {_FOLDER / 'x3d_s.yaml'}\n"
    (tmp_path / "recipe.yaml").write_text(f"{base}phases: {phases}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load(tmp_path / "recipe.yaml")
    (tmp_path / "recipe.yaml").write_text(f"{base}phases: []\n", encoding="utf-8")
    assert load(tmp_path / "recipe.yaml").phases == ()


def test_a_resolved_recipe_reads_back_equal_and_a_base_is_overruled_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(_SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "own.yaml").write_text("base: base.yaml\nname: own\naugment: {flip: 0.25}\n", encoding="utf-8")
    own = load(tmp_path / "own.yaml")
    assert (own.name, own.augment.flip, own.augment.noise) == ("own", 0.25, load(_SHIPPED).augment.noise)
    write(own, tmp_path / "resolved.yaml")
    assert load(tmp_path / "resolved.yaml") == own
    (tmp_path / "ring.yaml").write_text("base: ring.yaml\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="nested deeper"):
        load(tmp_path / "ring.yaml")
