import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models import registry, weights, zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import X3D_S, FrameSpec
from dicomqc.sample.tensor import to_tensor
from training import __main__ as program
from training import checkpoint, fitting, loop, network, precision
from training.augment import Strength
from training.batches import Batch
from training.calibration import fit_temperature
from training.checkpoint import State
from training.data.cines import Clips
from training.precision import Wanted
from training.progress import LOG
from training.recipe import Phase, Recipe, load

_SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml"
_STILL = Strength(**dict.fromkeys(Strength.__slots__, 0.0))
_TINY = {
    "patients": 24,
    "shares": [0.7, 0.15, 0.15],
    "unseen_patients": 3,
    "phases": [{"frames": 4, "size": 32, "steps": 2, "batch": 2}, {"frames": 4, "size": 48, "steps": 2, "batch": 2}],
    "reestimate_clips": 8,
    "replay": 0.0,
    "sway": 0.0,
    "again": 0.0,
    "again_loss": 0.0,
    "again_held": 0.0,
    "frame_loss": 0.0,
    "rate_steps": 0,
    "ema": 0.99,
    "frozen": 0,
    "blend": 0.0,
    "checkpoint_steps": 2,
    "threads": 1,
    "spec": {"kind": "3d", "step": 8, "size": 48},
}


class _Small(nn.Module):
    """A network of a hundred weights with batch norm and dropout, in the zoo's manner."""

    def __init__(self, *, num_classes: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv3d(3, 4, (1, 5, 5), stride=(1, 2, 2)), nn.BatchNorm3d(4), nn.ReLU())
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(4, num_classes)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.features(values).amax(dim=(2, 3, 4))))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Architecture(title="small", spec=X3D_S, builder=_Small)
    monkeypatch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(_SHIPPED.read_text(encoding="utf-8")), **_TINY}), encoding="utf-8")
    return path


def _clips(recipe: Recipe, count: int = 12, *, signal: float = 0.0) -> Clips:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 200, (count, 6, recipe.spec.size, recipe.spec.size), dtype=np.uint8)
    labels = np.array([0, 1] * (count // 2), np.float32)
    # A bright square is what there is to learn.
    frames[labels > 0, :, 10:20, 10:20] += np.uint8(55 * signal)
    kinds = tuple("no_contrast" if label else "coronary" for label in labels)
    return Clips(frames=frames, labels=labels, patients=tuple(map(str, range(count))), kinds=kinds, margin=1)


def _paper(recipe: Recipe, epochs: int) -> Recipe:
    return replace(
        recipe,
        model="small",
        schedule="paper",
        phases=(Phase(frames=4, size=48, batch=8, epochs=epochs),),
        learning_rate=0.02,
        weight_decay=0.0,
        ema=0.0,
        kind_loss=0.0,
        dropout=0.0,
        reestimate_clips=0,
        validate_epochs=1,
        step_epochs=30,
    )


@pytest.mark.parametrize("micro", [0, 1])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(recipe_file: Path, tmp_path: Path, micro: int) -> None:
    recipe = replace(load(recipe_file), micro_batch=micro)
    clips, train = _clips(recipe), range(12)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = loop.fit(recipe, clips, train, tmp_path / "whole", seed=3)
    # The process dies after the first checkpoint: one phase is left out, and the learning rate schedule must not notice.
    saved = tmp_path / "parts" / checkpoint.CHECKPOINT

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(recipe, clips, train, tmp_path / "parts", seed=3, say=die)
    assert saved.exists()
    resumed = loop.fit(recipe, clips, train, tmp_path / "parts", seed=3)
    other = loop.fit(recipe, clips, train, tmp_path, seed=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.state_dict()["blocks.5.proj.weight"], other.state_dict()["blocks.5.proj.weight"])


@pytest.mark.usefixtures("small")
def test_a_killed_run_with_replays_ends_with_the_same_weights(recipe_file: Path, tmp_path: Path) -> None:
    recipe = replace(_paper(load(recipe_file), 3), spec=FrameSpec(kind="3d", step=2, size=48), replay=0.6, blank=0.1)
    plain = _clips(recipe)
    frames = np.random.default_rng(1).integers(0, 200, (12, 18, 48, 48), dtype=np.uint8)
    filling = (0.0,) * 6 + (0.9,) * 10
    clips = replace(plain, frames=frames, windows=(0.9, 0.0) * 6, visible=(filling, (0.0,) * 16) * 6)
    folders = [tmp_path / "whole", tmp_path / "parts"]
    for folder in folders:
        folder.mkdir()

    def die(_: str) -> None:
        raise KeyboardInterrupt

    whole = loop.fit(recipe, clips, range(12), folders[0], seed=3)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(recipe, clips, range(12), folders[1], seed=3, say=die)
    parts = loop.fit(recipe, clips, range(12), folders[1], seed=3)
    unreplayed = loop.fit(replace(recipe, replay=0.0), clips, range(12), tmp_path, seed=3)
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())
    assert any(not torch.equal(value, unreplayed.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.usefixtures("small")
def test_a_killed_run_with_validation_keeps_the_same_best_epoch(recipe_file: Path, tmp_path: Path) -> None:
    recipe = _paper(load(recipe_file), 4)
    clips = _clips(recipe, 24, signal=0.3)
    folders = [tmp_path / "whole", tmp_path / "parts"]
    for folder in folders:
        folder.mkdir()
    train, validation = range(16), range(16, 24)
    whole = loop.fit(recipe, clips, train, folders[0], seed=3, validation=validation)
    lines: list[str] = []

    def die(text: str) -> None:
        lines.append(text)
        if len(lines) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(recipe, clips, train, folders[1], seed=3, say=die, validation=validation)
    parts = loop.fit(recipe, clips, train, folders[1], seed=3, validation=validation)
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())
    logs = [[json.loads(x) for x in (f / LOG).read_text(encoding="utf-8").splitlines()] for f in folders]
    aucs = [[x["validation_auc"] for x in log if "validation_auc" in x] for log in logs]
    assert aucs[0] == aucs[1]
    assert len(aucs[0]) == 4
    states = [torch.load(f / checkpoint.CHECKPOINT, weights_only=True) for f in folders]
    assert states[0]["best_auc"] == states[1]["best_auc"] == max(aucs[0])


@pytest.mark.usefixtures("small")
def test_a_gradient_that_is_none_in_bf16_is_taken_again_in_fp32(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(_paper(load(recipe_file), 2), validate_epochs=0)
    clips = _clips(recipe)
    for name in ("fp32", "auto"):
        (tmp_path / name).mkdir()
    precise = loop.fit(replace(recipe, precision="fp32"), clips, range(12), tmp_path / "fp32", seed=1)
    gradients, asked = loop._gradients, []

    def broken(run: loop.Fit, state: State, batch: Batch, share: float, arithmetic: Wanted) -> float:
        asked.append(arithmetic)
        total = gradients(run, state, batch, share, "fp32")
        if arithmetic == "auto":
            next(state.model.parameters()).grad.fill_(math.inf)
        return total

    monkeypatch.setattr(precision, "bf16", lambda _: True)
    monkeypatch.setattr(loop, "_gradients", broken)
    again = loop.fit(recipe, clips, range(12), tmp_path / "auto", seed=1)
    assert asked == ["auto", "fp32"] * recipe.steps(12)
    assert all(torch.equal(one, other) for one, other in zip(precise.parameters(), again.parameters(), strict=True))


@pytest.mark.usefixtures("small")
def test_calibrated_weights_carry_the_temperature_of_the_validation_part(recipe_file: Path, tmp_path: Path) -> None:
    recipe = replace(_paper(load(recipe_file), 8), validate_epochs=0, augment=_STILL)
    clips = _clips(recipe, 80, signal=0.6)
    model = loop.fit(recipe, clips, range(48), tmp_path, seed=1)
    validation = range(48, 80)
    before = loop.score(recipe, model, clips, validation)
    taken = fitting._calibrated(recipe, model, clips, validation, torch.device("cpu"))
    after = loop.score(recipe, model, clips, validation)
    assert abs(taken - 1.0) > 0.02
    assert after == pytest.approx(before / taken, rel=1e-4, abs=1e-6)
    assert fit_temperature(clips.labels[list(validation)].astype(np.float64), after) == pytest.approx(1.0, rel=0.01)


@pytest.mark.usefixtures("small")
def test_the_loop_learns_what_there_is_to_learn_and_nothing_from_shuffled_labels(recipe_file: Path, tmp_path: Path) -> None:
    recipe = _paper(load(recipe_file), 30)
    recipe = replace(recipe, augment=replace(recipe.augment, flip=0.0, translate=0.0))
    clips = _clips(recipe, 80, signal=1.0)
    for name, labels in (("true", clips.labels), ("shuffled", np.random.default_rng(5).permutation(clips.labels))):
        (tmp_path / name).mkdir()
        given = replace(clips, labels=labels)
        model = loop.fit(replace(recipe, validate_epochs=0), given, range(48), tmp_path / name, seed=1)
        scores = loop.score(recipe, model, given, range(48, 80))
        auc = loop.metrics.auc(labels[48:].astype(float), scores)
        assert auc > 0.95 if name == "true" else 0.25 < auc < 0.75


@pytest.mark.usefixtures("small")
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(recipe_file: Path, tmp_path: Path) -> None:
    recipe = replace(_paper(load(recipe_file), 3), checkpoint_steps=1, validate_epochs=0)
    clips = _clips(recipe, 16)
    loop.fit(replace(recipe, phases=(Phase(frames=4, size=48, batch=8, steps=2),)), clips, range(16), tmp_path, seed=1)
    before = (tmp_path / checkpoint.CHECKPOINT).read_bytes()
    broken = replace(clips, labels=np.full(16, np.nan, np.float32))
    with pytest.raises(loop.Diverged, match=r"step 3: the loss is nan.*the last checkpoint is kept"):
        loop.fit(recipe, broken, range(16), tmp_path, seed=1)
    assert (tmp_path / checkpoint.CHECKPOINT).read_bytes() == before


@pytest.mark.usefixtures("small")
def test_a_full_disk_is_said_and_keeps_the_last_checkpoint(recipe_file: Path, tmp_path: Path) -> None:
    recipe = replace(_paper(load(recipe_file), 1), checkpoint_steps=1, validate_epochs=0)
    loop.fit(recipe, _clips(recipe), range(12), tmp_path, seed=1)
    before = (tmp_path / checkpoint.CHECKPOINT).read_bytes()
    (tmp_path / f"{checkpoint.CHECKPOINT}.part").symlink_to("/dev/full")
    longer = replace(recipe, phases=(Phase(frames=4, size=48, batch=8, epochs=3),))
    with pytest.raises(ConfigError, match="is the disk full"):
        loop.fit(longer, _clips(recipe), range(12), tmp_path, seed=1)
    assert (tmp_path / checkpoint.CHECKPOINT).read_bytes() == before


@pytest.mark.usefixtures("small")
def test_a_foreign_or_torn_checkpoint_is_refused_by_name(recipe_file: Path, tmp_path: Path) -> None:
    recipe = _paper(load(recipe_file), 1)
    for torn in (b"", b"no checkpoint at all", b"\x80\x02}q\x00garbage"):
        (tmp_path / checkpoint.CHECKPOINT).write_bytes(torn)
        with pytest.raises(ConfigError, match="no checkpoint of this recipe"):
            loop.fit(recipe, _clips(recipe), range(12), tmp_path, seed=1)


@pytest.mark.usefixtures("small")
def test_a_seed_may_be_as_long_as_a_date_and_a_time(recipe_file: Path, tmp_path: Path) -> None:
    recipe = _paper(load(recipe_file), 1)
    seeds = {"one": 20261126123456, "again": 20261126123456, "other": 20261126123457}
    for name in seeds:
        (tmp_path / name).mkdir()
    one, again, other = (
        loop.fit(recipe, _clips(recipe), range(12), tmp_path / name, seed=seed).state_dict() for name, seed in seeds.items()
    )
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.usefixtures("small")
def test_published_weights_are_taken_also_by_a_network_of_more_outputs(recipe_file: Path) -> None:
    published = _Small()
    taught = _Small(num_classes=4)
    network.start_from(taught, published.state_dict())
    assert torch.equal(taught.head.weight[:1], published.head.weight)
    assert all(torch.equal(v, published.state_dict()[k]) for k, v in network.first_output(taught, "small").state_dict().items())
    with pytest.raises(ConfigError, match="another network"):
        network.start_from(network.build("x3d_s", 0.0), published.state_dict())


def test_precision_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    real = precision.name(cpu)
    assert real == ("bf16" if precision.bf16(cpu) else "fp32")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    assert precision.name(cpu) == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision.name(cpu) == "bf16"
    with precision.autocast(cpu):
        assert torch.is_autocast_enabled("cpu")
    assert precision.name(cpu, "fp32") == "fp32"
    with precision.autocast(cpu, "fp32"):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("name", ["cuda:77", "toaster", "meta"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="device: "):
        precision.device(name)


def test_the_published_output_is_the_first_one_of_the_taught_network() -> None:
    taught = network.build("x3d_s", 0.3, outputs=5).eval()
    single = network.first_output(taught, "x3d_s")
    clip = torch.randn(1, 3, 4, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(taught(clip)[:, :1], single(clip), atol=1e-5)


def test_reestimated_batch_norm_normalises_the_clips_that_it_saw() -> None:
    model = network.build("x3d_s", 0.0)
    batches = [5.0 + torch.randn(4, 3, 4, 32, 32) for _ in range(2)]
    network.reestimate(model, batches)
    first = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm3d))
    assert first.num_batches_tracked == 2
    assert not model.training
    assert first.momentum == pytest.approx(0.1)


def test_weights_does_everything_from_one_seed_and_never_changes_a_published_version(recipe_file: Path, tmp_path: Path) -> None:
    arguments = ["weights", "--seed", "5", "--recipe", str(recipe_file), "--registry", str(tmp_path / "registry")]
    run = tmp_path / "run"
    assert program.main([*arguments, "--run", str(run)]) == 0
    recipe = load(recipe_file)
    folder = tmp_path / "registry" / recipe.name / recipe.version
    registry.verify(folder)
    card = registry.read(folder).card
    assert card.demonstration
    assert "simulated angiograms" in card.intended_use
    assert card.metrics["unseen"]["clips"] >= 9
    assert len(card.metrics["unseen"]["intervals"]["f1"]) == 2
    assert {"train", "validation", "test"} == set(card.training["splits"])
    assert {"noise", "vessels", "label"} <= set(card.training["generator"])
    assert "Never validated on patients" in card.training["limits"]
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert sum(row["part"] == "unseen" for row in rows) == card.metrics["unseen"]["clips"]
    table = json.loads((run / "table1.json").read_text(encoding="utf-8"))
    columns = [table[label] for label in ("satisfactory", "unsatisfactory")]
    assert sum(column["clips"] for column in columns) == sum(part["clips"] for part in card.training["splits"].values())
    assert all(40 < column["age_mean_years"] < 90 and 0 <= column["male_percent"] <= 100 for column in columns)
    assert max(column["exams"] for column in columns) <= table["exams"]
    before = (folder / registry.WEIGHTS).read_bytes()
    assert program.main([*arguments, "--run", str(run)]) == 0
    assert (folder / registry.WEIGHTS).read_bytes() == before
    assert (run / "registry" / recipe.name / recipe.version / registry.CARD).exists()
    assert program.main([*arguments[:2], "6", *arguments[3:], "--run", str(run)]) == 2
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 5
    assert "torch" in facts["environment"]
    assert load(run / "recipe.yaml") == load(recipe_file)
    assert load_file(run / "weights.safetensors")["blocks.5.proj.weight"].shape == (1, 2048)
    assert json.loads((run / "fit.json").read_text(encoding="utf-8"))["steps"] == 4


def test_published_weights_score_the_golden_cine_as_the_trained_network_does(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load(recipe_file)
    model = loop.fit(replace(recipe, phases=recipe.phases[:1]), _clips(recipe), range(12), tmp_path, seed=3)
    plain = weights.zoo.build(recipe.model)
    plain.load_state_dict({k: v.contiguous() for k, v in model.state_dict().items()})
    frames = _clips(recipe).centred(0)
    with torch.inference_mode():
        node = float(plain.eval()(to_tensor(frames, recipe.spec)[None]).item())
    assert loop.score(recipe, model, _clips(recipe), [0])[0] == pytest.approx(node, abs=1e-3)


def test_the_share_of_the_tree_that_is_seen_is_a_lesson_where_it_is_known(recipe_file: Path, tmp_path: Path) -> None:
    recipe = replace(load(recipe_file), phases=(Phase(frames=4, size=48, batch=4, steps=2),), validate_epochs=0)
    plain = _clips(recipe)
    losses = []
    for name, windows in (("unknown", (math.nan,) * len(plain.labels)), ("dark", (0.0,) * len(plain.labels))):
        loop.fit(recipe, replace(plain, windows=windows), range(12), tmp_path / name, seed=3)
        lines = (tmp_path / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append(json.loads(lines[0])["loss"])
    assert losses[1] > losses[0] + 0.1
